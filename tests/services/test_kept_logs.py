"""A kept log of every rules number folds to what it folded to when it was kept: what was decided once is decided so for ever.

`kept_logs/<number>.entries` is never made anew. Rules that would decide it otherwise need a number of their own (CONTRIBUTING.md), and a
log of that number is kept beside it, with the hash of what came of it.
"""

from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from services.deciding import RULES, Fold, Outcome
from storage.ports.entry import Place, decode_entry
from tests.services.log import PARTS

FOLDER = Path(__file__).parent / "kept_logs"
CAME_TO = {1: "24913672bc492b9378fa36920af35e453331b88f54284d035fec1e026bfbdb0c"}


def entries(number: int) -> list[bytes]:
    """Length (4 bytes) and entry, one behind the other."""
    data, found = (FOLDER / f"{number}.entries").read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def folded(number: int) -> tuple[Fold, list[Outcome]]:
    fold = Fold(PARTS)
    return fold, [fold.apply(decode_entry(data), Place(1, offset)) for offset, data in enumerate(entries(number), 1)]


def hashed(fold: Fold, outcomes: list[Outcome]) -> str:
    verdicts = [(one.what, one.seq, one.n, one.at, one.code) for one in outcomes]
    members = sorted((user, *member) for user, member in fold.members.items())
    window = [(row.seq, row.op.hex(), row.at) for row in fold.window]
    state = (fold.seq, fold.n, fold.horizon, tuple(fold.horizon_place), fold.floor_seq, fold.floor_at, members, window)
    return sha256(repr((verdicts, state)).encode()).hexdigest()


def test_there_is_one_of_every_number() -> None:
    assert sorted(CAME_TO) == list(range(1, RULES + 1))


@pytest.mark.parametrize("number", CAME_TO)
def test_it_folds_to_the_same(number: int) -> None:
    assert hashed(*folded(number)) == CAME_TO[number]


@pytest.mark.parametrize("number", CAME_TO)
def test_it_has_met_every_verdict(number: int) -> None:
    _, outcomes = folded(number)
    assert min(Counter(one.what for one in outcomes)[what] for what in ("ok", "duplicate", "conflict", "stale", "refused")) >= 5
    assert {one.code for one in outcomes} >= {"", "not_found", "forbidden", "id_conflict", "id_expired", "unknown_command", "bad_request"}
