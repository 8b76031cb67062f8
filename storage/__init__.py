"""Where things last: six small ports, and the backends that implement them under the same file names."""
