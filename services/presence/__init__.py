"""Presence: whether a user is there. Chosen statuses are entries of the user's personal conversation, the rest is not kept."""
