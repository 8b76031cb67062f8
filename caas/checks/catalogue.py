"""Every check, in the order in which they are made. `docs/doctor.md` has the same list, and a test holds the two together."""

from caas.checks import database, disk, engines, network, node, program
from caas.checks.model import Check

CHECKS = (
    Check("python", "A version that this program was written for", program.python),
    Check("packages", "Each package it needs is there, in a version that will do", program.packages),
    Check("names", "What is imported is ours: another distribution may bring a package of the same name, as supervisord does", program.names),
    Check("accelerator", "Compiled modules, where they are installed and wanted, were made from these very sources", program.accelerator),
    Check("configuration", "It can be read, each value is possible, and together they make sense", program.configuration),
    Check("data folder", "It can be written to, or made, and not everybody may look into it", disk.folder),
    Check("disk", "It is a disk of this machine: locks do not work over a network, and memory forgets", disk.disk),
    Check("room", "1 GiB at least is free", disk.room),
    Check("sync", "Writing until it is on the disk is quick: 10 ms are doubtful, 100 ms bad", disk.sync),
    Check("failed sync", "No worker has seen the disk fail to keep what was written", disk.failed_sync),
    Check("sqlite", "The library is new enough", database.sqlite),
    Check("settings", "WAL and synchronous=FULL are what is read back, on this very disk", database.settings),
    Check("integrity", "SQLite finds nothing damaged; 20 s at most, without end with `--thorough`", database.integrity),
    Check("version", "The data are of the version that this program writes", database.version),
    Check("partitions", "Their number is the one that the set-up was made with", database.partitions),
    Check("master key", "It is there, for its owner alone, and opens what is stored", database.master_key),
    Check("clock", "It is set, and not before the newest entry", database.clock),
    Check("kafka", "The brokers let us in, by TLS and with a user where these are asked for, and are as many as the log needs", engines.kafka),
    Check("mongodb", "It lets us in, and is a replica set that keeps what it has acknowledged", engines.mongodb),
    Check("redis", "It lets us in", engines.redis),
    Check("registry", "Where a schema registry is named, it answers", engines.registry),
    Check("port", "It is free, or a server has it that says it is ready", network.port),
    Check("tls", "The certificate can be read, belongs to its key, and does not run out within 14 days", network.tls),
    Check("files", "A worker may open enough of them: each connection is one", network.files),
    Check("run folder", "It can be written to, and dead workers left nothing there", node.run_folder),
    Check("locks", "Whoever writes gives the lock back", node.locks),
    Check("workers", "Every worker that holds its place answers", node.workers),
    Check("canary", "What the node says to itself comes back: all of it, once, in order, soon", node.canary),
)
