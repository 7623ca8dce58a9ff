"""Where a document version comes from, for people: who made it, from what, who answered and who decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from documents import selectors as documents
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.selectors import executions

_DONE = {
    AcceptanceAction.ACCEPT: "accepted it",
    AcceptanceAction.REJECT: "rejected it",
    AcceptanceAction.REQUEST_CHANGES: "asked for changes",
}


@dataclass(frozen=True, slots=True)
class Input:
    """A document version that was read."""

    document_id: UUID
    version: int
    type: str
    title: str


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one round."""

    by: str
    at: Any  # datetime, or None
    pairs: tuple[tuple[str, str], ...]  # question and answer


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about a version."""

    by: str
    at: Any  # datetime
    did: str
    comment: str
    version: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the page tells of a version's origin."""

    is_by_person: bool
    is_rehearsal: bool
    is_prepared: bool  # an example whose text people have written
    workflow_id: str
    workflow_version: int | None
    role: str
    model: str
    attempt: int
    item: str
    verdict: str  # of a review by another model
    is_condensed: bool
    inputs: tuple[Input, ...]
    answers: tuple[Answers, ...]
    decisions: tuple[Decided, ...]


def describe(row: Any) -> Provenance:
    """Return the origin of a document version."""
    origin: Mapping[str, Any] = row.provenance
    item, review = origin.get("item") or {}, origin.get("review") or {}
    return Provenance(
        is_by_person=row.execution_id is None,
        is_rehearsal=bool(origin.get("rehearsal")),
        is_prepared=bool(origin.get("prepared")),
        workflow_id=str(origin.get("workflow_id", "")),
        workflow_version=origin.get("workflow_version"),
        role=str(origin.get("role", "")),
        model=str(origin.get("model", "")),
        attempt=int(origin.get("attempt", 1)),
        item=" / ".join([*map(str, item.get("keys", [])), str(item.get("label", ""))]).strip(" /"),
        verdict=str(review.get("verdict", "")).replace("_", " "),
        is_condensed=bool(origin.get("condensed")),
        inputs=_inputs(origin.get("inputs", [])),
        answers=_answers(origin.get("answers", [])),
        decisions=_decisions(row),
    )


def _inputs(pins: list[dict[str, Any]]) -> tuple[Input, ...]:
    pairs = [(UUID(each["document_id"]), int(each["version"])) for each in pins]
    found = documents.headings(pairs) if pairs else {}
    return tuple(
        Input(*pair, each["type"], found[pair].title if pair in found else each["type"])
        for each, pair in zip(pins, pairs, strict=True)
    )


def _answers(given: list[dict[str, Any]]) -> tuple[Answers, ...]:
    rounds = groupby(given, key=lambda each: (each.get("answered_by") or "", each.get("answered_at") or ""))
    return tuple(
        Answers(
            by, parse_datetime(at) if at else None, tuple((each["question"], _text(each["answer"])) for each in found)
        )
        for (by, at), found in rounds
    )


def _text(answer: Any) -> str:
    """Return an answer as people read it."""
    if isinstance(answer, bool):
        return "Yes" if answer else "No"
    if isinstance(answer, list):
        return ", ".join(map(_text, answer))
    return "—" if answer is None else str(answer)


def _decisions(row: Any) -> tuple[Decided, ...]:
    found = executions.decisions_about([row.document_id])[row.document_id]
    return tuple(_decided(each) for each in found if (each.accepted or each.document_version) <= row.version)


def _decided(made: AcceptanceDecision) -> Decided:
    return Decided(
        made.decided_by, made.decided_at, _DONE[made.decision], made.comment, made.accepted or made.document_version
    )
