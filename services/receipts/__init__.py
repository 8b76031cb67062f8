"""Receipts: how far each user has got and read, who was mentioned, and the one number of what is unread."""
