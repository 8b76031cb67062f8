"""Who keeps things alive: actors, the tree that restarts them, virtual actors by key, the ring, and worker processes.

On trio and nothing else; it knows nothing of chat and could be a library.

actor, ref, reply    what one writes and what one holds          life, mailbox, sweeper   the inside of an actor
child, tree          Supervisor: order, restarts, failing up     directory       woken by key, asleep when idle; quarantine
ring                 which worker owns what: pure                workers         who of a node's workers is alive
processes            starts and restarts worker processes        errors          the tree of them
"""

from supervisor.actor import Actor, Exit, Inbox
from supervisor.child import Child, Restart, Strategy
from supervisor.directory import Directory
from supervisor.errors import ActorStopped, AskTimeout, MailboxFull, Quarantined, StartTimeout, SupervisorError, TooManyRestarts
from supervisor.processes import Command, ProcessSupervisor, wait_orphaned
from supervisor.quarantine import Quarantine
from supervisor.ref import Ref, RefStatistics
from supervisor.reply import Later, Reply
from supervisor.ring import Ring, moved
from supervisor.statistics import DirectoryStatistics, Node, SupervisorStatistics
from supervisor.tree import Supervisor, open_supervisor
from supervisor.workers import Membership, WorkerIdTaken

__all__ = [
    "Actor",
    "ActorStopped",
    "AskTimeout",
    "Child",
    "Command",
    "Directory",
    "DirectoryStatistics",
    "Exit",
    "Inbox",
    "Later",
    "MailboxFull",
    "Membership",
    "Node",
    "ProcessSupervisor",
    "Quarantine",
    "Quarantined",
    "Ref",
    "RefStatistics",
    "Reply",
    "Restart",
    "Ring",
    "StartTimeout",
    "Strategy",
    "Supervisor",
    "SupervisorError",
    "SupervisorStatistics",
    "TooManyRestarts",
    "WorkerIdTaken",
    "moved",
    "open_supervisor",
    "wait_orphaned",
]
