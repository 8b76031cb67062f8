"""Storage as a cluster: Kafka is the log, MongoDB keeps what was stored of it, Redis counts."""
