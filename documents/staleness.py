"""Which documents were made from what has changed since. Pure: it knows values, and no database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ReasonKind(StrEnum):
    """Why a document is not current."""

    #: An input has another content than the version that the document was made from.
    INPUT_CHANGED = "input_changed"
    #: An input is stale itself.
    INPUT_STALE = "input_stale"
    #: The document itself waits for a decision, or was rejected.
    NOT_ACCEPTED = "not_accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A document version that another document was made from."""

    document_id: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A document in its present version, and what that was made from."""

    id: UUID
    type: str
    version: int
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason; for an input, the version that was read and the present one."""

    kind: ReasonKind
    document_id: UUID
    type: str
    from_version: int
    to_version: int


Hashes = Mapping[tuple[UUID, int], str]  # of contents, by document id and version


def find_stale(
    heads: Iterable[Head], hashes: Hashes, *, unaccepted: Collection[UUID] = ()
) -> dict[UUID, tuple[Reason, ...]]:
    """Return the documents that are not current, each with its reasons, through any depth.

    Args:
        heads: Documents, with all that they were made from, directly and indirectly. An unknown input gives no reason.
        hashes: The hashes of the present contents, and of those that the documents were made from.
        unaccepted: The documents whose present version waits for a decision or was rejected.
    """
    known = {head.id: head for head in heads}
    readers: dict[UUID, list[UUID]] = defaultdict(list)
    found: dict[UUID, list[Reason]] = defaultdict(list)
    for head in known.values():
        if head.id in unaccepted:
            found[head.id].append(_reason(ReasonKind.NOT_ACCEPTED, head, head.version))
        for each in head.inputs:
            readers[each.document_id].append(head.id)
            source = known.get(each.document_id)
            if source is not None and _differs(each, source, hashes):
                found[head.id].append(_reason(ReasonKind.INPUT_CHANGED, source, each.version))
    stale = _closure(found, readers)
    for head in (known[each] for each in stale):
        sources = ((known[each.document_id], each.version) for each in head.inputs if each.document_id in stale)
        found[head.id].extend(_reason(ReasonKind.INPUT_STALE, source, version) for source, version in sources)
    return {key: tuple(reasons) for key, reasons in found.items()}


def _closure(starts: Iterable[UUID], readers: Mapping[UUID, list[UUID]]) -> set[UUID]:
    """Return the starts and all that was made from them. Each document is visited once, so cycles end."""
    reached, left = set(starts), list(starts)
    while left:
        new = set(readers.get(left.pop(), ())) - reached
        reached |= new
        left += new
    return reached


def _differs(read: Input, source: Head, hashes: Hashes) -> bool:
    if read.version == source.version:
        return False
    before, after = hashes.get((source.id, read.version)), hashes.get((source.id, source.version))
    return not before or before != after


def _reason(kind: ReasonKind, source: Head, from_version: int) -> Reason:
    return Reason(
        kind=kind, document_id=source.id, type=source.type, from_version=from_version, to_version=source.version
    )
