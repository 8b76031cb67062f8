"""Our own WebSocket server: frames and handshake without I/O, one reader for all sockets of a worker, direct sends."""
