"""What we say: frames, errors, close codes, ids and limits. No I/O; the same for the server and every SDK."""
