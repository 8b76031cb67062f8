"""Sizes and counts, by the names they have in `hello.limits`, and the clock of a connection."""

KIB = 1024

TEXT = 16 * KIB
"""Bytes of UTF-8 in a message's text."""
CUSTOM = 4 * KIB
"""Bytes of `custom`, as compact JSON."""
ATTACHMENTS = 30
MENTIONS = 100
FRAME = 64 * KIB
BATCH = 64
"""Commands in one frame."""
RESUME = 200
"""Conversations named in `hello.resume`."""
MEMBERS = 100
"""Users in one call."""
GROUP = 10_000
"""Members of a conversation."""
RECEIPTS_TO_ALL = 100
"""Members up to which receipts go to everybody who watches; above it only to a message's sender."""
PRESENCE = 500
"""Users whose presence one connection watches."""
NOTICES = 1_000
"""Members up to which those who do not watch are told of something new."""

LIMITS: dict[str, int] = {
    "text": TEXT, "custom": CUSTOM, "attachments": ATTACHMENTS, "mentions": MENTIONS, "frame": FRAME,
    "batch": BATCH, "resume": RESUME, "members": MEMBERS, "group": GROUP, "presence": PRESENCE,
}

DEPTH = 16
ITEMS = 4_096
"""Key-value pairs and array items of one command."""
LARGEST_INTEGER = 2**53 - 1
LARGEST_REQUEST = 2**32 - 1
NAME = 256
"""Characters of a name, a display name or the like."""
DESCRIPTION = 2_048
URL = 2_048

HEARTBEAT_S = 15
HELLO_WITHIN_S = 5.0
HEADS_EVERY_S = 25.0
VERDICT_WITHIN_S = 10.0
AHEAD_WAIT_S = 2.0
"""How long a room waits for a seq that a client has seen on a faster node."""
RESUME_WITHIN_S = 0.5
"""A conversation of `hello.resume` not ready by then follows as `conversation.watching`."""
