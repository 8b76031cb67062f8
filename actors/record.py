"""Making one record of what waits at a room's desk: each act checked, sealed and encoded, in order."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

import msgspec

from actors.desk import MOST_BYTES, MOST_COMMANDS, Desk, Riding, Waiting
from actors.ephemeral.blocks import Blocks
from actors.house import House
from actors.keys import Key, partition_of
from protocol.errors import Refused
from services.acts import Act
from services.checking import ANSWER, LOOK, WAIT, Checked, check, refusal
from services.deciding import Fold
from services.history import sealed_for
from storage.ports.entry import Entry, Place, encode_entry

_pack = msgspec.msgpack.Encoder().encode
_NOTHING: Mapping[bytes, bool] = {}


class Built(msgspec.Struct, frozen=True, gc=False):
    """A record, and what the next act in the queue needs first: storage asked for an old id, or something to be waited for."""

    riding: dict[bytes, Riding]
    look: bytes = b""
    needs: Callable[[], Awaitable[None]] | None = None


def build(house: House, key: Key, fold: Fold, desk: Desk, stored: Place, looked_up: Mapping[bytes, bool], blocks: Blocks | None = None) -> Built:
    """Take as much from the queue as one record holds; answer what needs no append. `blocks`: of a conversation of two."""
    riding: dict[bytes, Riding] = {}
    ahead: set[bytes] = set()
    size = 0
    while desk.queue and len(riding) < MOST_COMMANDS and size < MOST_BYTES:
        waiting = desk.queue[0]
        looked = looked_up if waiting.checked is not None else _NOTHING  # what was asked for others says nothing of this one
        checked = _checked(house, fold, waiting.act, ahead, stored, looked)
        if not waiting.sure and house.certainty.doubts_check(waiting.act, checked):
            return Built(riding, needs=partial(house.certainty.settle, partition_of(key, house.log.partitions), desk.queue))
        if isinstance(checked, Refused):
            desk.queue.popleft().fail(checked)
            continue
        if checked.what == ANSWER and checked.verdict is not None:
            desk.queue.popleft().answer(checked.verdict)
            continue
        if checked.what == WAIT:
            break
        if checked.what == LOOK:
            return Built(riding, look=checked.op)
        if blocks is not None and house.kinds[waiting.act.kind].barred:
            if not blocks.known:
                return Built(riding, needs=blocks.read)
            if blocks.closed:
                desk.queue.popleft().fail(refusal("blocked", waiting.act.kind))
                continue
        ridden = _ride(house, key, fold, waiting, checked.act)
        if ridden is None:
            return Built(riding, needs=partial(house.vault.ensure_author, key.tenant, waiting.act.actor))
        desk.queue.popleft()
        data, riding[data] = ridden[0], ridden[1]
        ahead.add(waiting.act.op)
        size += len(data)
        if house.kinds[waiting.act.kind].alone:
            break
    return Built(riding)


def _checked(house: House, fold: Fold, act: Act, ahead: Collection[bytes], stored: Place, looked_up: Mapping[bytes, bool]) -> Checked | Refused:
    try:
        return check(fold, house.kinds, act, ahead, stored, looked_up, house.ruling.number)
    except Refused as refused:
        return refused


def _ride(house: House, key: Key, fold: Fold, waiting: Waiting, act: Act) -> tuple[bytes, Riding] | None:
    """The act as an entry; None while its author's key is not in memory."""
    sealed = house.vault.seal(key.tenant, act.actor, sealed_for(*key, act.op), _pack(act.body))
    if sealed is None:
        return None
    checked = fold.seq if waiting.checked is None else min(waiting.checked, fold.seq)
    entry = Entry(house.ruling.number, act.kind, key.tenant, key.conversation, act.actor, act.op, checked, house.clock.now_ms(),
                  house.next_append(), act.digest, sealed[0], act.facts, sealed[1])
    return encode_entry(entry), Riding(waiting, entry, act.body)
