"""Amending: how stored entries change documents that are not the fold's own, step by step in the log's order. Pure.

An edit, a reaction or a read pointer changes a document that nobody needs for deciding. Storing reads the document, takes the steps that
come after its place, and writes it with the place of the last one. So a repeat, a ghost or a crash in between changes nothing: a document
at some place is what all steps up to there make of it, whoever wrote it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from storage.ports.entry import Place
from storage.ports.log import Change

Document = dict[str, Any]


class Amended(NamedTuple):
    """The document after a step, and the seqs of stored entries of the conversation whose bodies go with it."""

    doc: Document
    cleared: Sequence[int] = ()


class Amend(NamedTuple):
    """One entry's step on one document. `make` is pure, and must not change what it is given (None: there is no document yet)."""

    collection: str
    key: str
    make: Callable[[Document | None], Amended]


class Step(NamedTuple):
    """The steps of one accepted entry, with what they stand on."""

    tenant: str
    conversation: str
    place: Place
    amends: Sequence[Amend]


Known = Mapping[tuple[str, str, str], tuple[Document, Place]]
"""Documents as they are stored, by (tenant, collection, key)."""


def documents_of(steps: Iterable[Step]) -> dict[tuple[str, str], list[str]]:
    """Which documents the steps need: keys by (tenant, collection)."""
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for step in steps:
        for amend in step.amends:
            wanted.setdefault((step.tenant, amend.collection), {})[amend.key] = None
    return {of: list(keys) for of, keys in wanted.items()}


def amended(steps: Iterable[Step], known: Known) -> tuple[list[Change], list[tuple[str, str, int]]]:
    """Take the steps, in order: the documents that change, each once, and (tenant, conversation, seq) of the bodies to clear."""
    now: dict[tuple[str, str, str], tuple[Document, Place]] = {}
    cleared: list[tuple[str, str, int]] = []
    for step in steps:
        for amend in step.amends:
            of = (step.tenant, amend.collection, amend.key)
            before = now.get(of) or known.get(of)
            if before is not None and before[1] >= step.place:
                continue
            after = amend.make(before[0] if before else None)
            now[of] = (after.doc, step.place)
            cleared += [(step.tenant, step.conversation, seq) for seq in after.cleared]
    return [Change(*of, doc, place) for of, (doc, place) in now.items()], cleared
