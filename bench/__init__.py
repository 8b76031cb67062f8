"""The bench: what the program costs and bears, measured from outside, over the wire."""
