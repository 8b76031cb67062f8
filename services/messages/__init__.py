"""Messages: sending and reading them."""
