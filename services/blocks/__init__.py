"""Blocks: whom a user does not want to hear from. Either's block closes the direct conversation of the two."""
