"""Conversations and their members: creating, reading, following, adding and removing."""
