"""What storage can say when it cannot do as asked.

StorageError
├── StorageFull      the disk (or the log's allowance) is full: nothing was written; reading goes on
├── StorageAway      it cannot be reached or is behind: nothing was written; try again
│   └── TooMuch      of this tenant so much waits already that the others would suffer: nothing was written; slow down
├── OutcomeUnknown   it may or may not have been written: repeat with the same id
├── Unwritable       its content cannot be kept: nothing was written, and a repeat does not help
└── Damaged          a record's checksum does not fit: reported, never skipped in silence, never renumbered
"""


class StorageError(Exception):
    """Storage could not do as it was asked."""


class StorageFull(StorageError):
    """No room to write. Nothing of the request was written; reading and connections live on."""


class StorageAway(StorageError):
    """Not reachable, or too far behind. Nothing of the request was written."""


class TooMuch(StorageAway):
    """More of this tenant waits to be written than is fair to the others. Nothing of the request was written."""


class OutcomeUnknown(StorageError):
    """It may have been written. Whoever asks again must ask with the same id."""


class Unwritable(StorageError):
    """What was to be written cannot be kept as it is. Nothing of the request was written, and nothing else suffered by it."""


class Damaged(StorageError):
    """These bytes are not what was written."""
