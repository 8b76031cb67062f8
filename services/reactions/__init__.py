"""Reactions to messages: adding and taking back."""
