"""Others' servers, to compare with: a program for each, its lock, and how they are installed."""
