"""Typing: who is writing, recording or uploading right now. Told to whoever watches, never kept."""
