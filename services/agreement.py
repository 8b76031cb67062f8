"""Agreement: a fold as a few bytes, so that nodes can compare what they made of the same log. Pure."""

from hashlib import blake2b

import msgspec

from services.deciding import Fold
from services.heads import MEMBERS_PER_PART, head_of

_pack = msgspec.msgpack.Encoder(order="deterministic").encode


def digest_of(fold: Fold) -> bytes:
    """8 bytes that are the same for folds that will decide the same: everything but the members of a conversation so large that they fill
    more than a part, of which their number and the entry that last changed them stand for them."""
    members = sorted((user, *member) for user, member in fold.members.items()) if len(fold.members) <= MEMBERS_PER_PART else []
    window = [(row.seq, row.op, row.digest, row.at, row.n, row.place, row.removes) for row in fold.window]
    return blake2b(_pack([head_of(fold), members, window]), digest_size=8).digest()
