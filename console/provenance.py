"""Where a document version comes from, for people: who made it, from what, who answered and who decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, gettext_lazy

from common.names import in_words
from documents import selectors as documents
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.selectors import executions

_SAID = {
    AcceptanceAction.ACCEPT: gettext_lazy("%(name)s accepted it"),
    AcceptanceAction.REJECT: gettext_lazy("%(name)s rejected it"),
    AcceptanceAction.REQUEST_CHANGES: gettext_lazy("%(name)s asked for changes"),
}

_REVIEWS = {
    "satisfied": gettext_lazy("Another model reviewed it: satisfied."),
    "needs_revision": gettext_lazy("Another model reviewed it: needs revision."),
    "failed": gettext_lazy("Another model reviewed it: failed."),
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

    at: Any  # datetime
    said: str  # who decided what
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
    review: str  # by another model, as a sentence; empty: there was none
    is_condensed: bool
    inputs: tuple[Input, ...]
    answers: tuple[Answers, ...]
    decisions: tuple[Decided, ...]

    @property
    def made(self) -> str:
        """Who wrote a version that no person wrote, and how, as a sentence."""
        told = self._written_by()
        if self.model and not self.is_rehearsal and not self.is_prepared:
            told = gettext("%(written)s, with %(model)s") % {"written": told, "model": self.model}
        if self.attempt > 1:
            told = gettext("%(written)s, in attempt %(number)s") % {"written": told, "number": self.attempt}
        if self.is_prepared:
            told = gettext("%(written)s: an example that was prepared; no model was asked") % {"written": told}
        return f"{told}."

    def _written_by(self) -> str:
        version = f" (v{self.workflow_version})" if self.workflow_version else ""
        names = {"role": in_words(self.role).lower(), "workflow": f"{in_words(self.workflow_id)}{version}"}
        if self.role and self.workflow_id:
            return gettext("Written by the %(role)s of the workflow %(workflow)s") % names
        if self.workflow_id:
            return gettext("Written in the workflow %(workflow)s") % names
        return gettext("Written by the %(role)s") % names if self.role else gettext("Written")


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
        review=_review(str(review.get("verdict", ""))),
        is_condensed=bool(origin.get("condensed")),
        inputs=_inputs(origin.get("inputs", [])),
        answers=_answers(origin.get("answers", [])),
        decisions=_decisions(row),
    )


def _review(verdict: str) -> str:
    return str(_REVIEWS[verdict]) if verdict in _REVIEWS else ""


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
        return gettext("Yes") if answer else gettext("No")
    if isinstance(answer, list):
        return ", ".join(map(_text, answer))
    return "—" if answer is None else str(answer)


def _decisions(row: Any) -> tuple[Decided, ...]:
    found = executions.decisions_about([row.document_id])[row.document_id]
    return tuple(_decided(each) for each in found if (each.accepted or each.document_version) <= row.version)


def _decided(made: AcceptanceDecision) -> Decided:
    said = _SAID[made.decision] % {"name": made.decided_by}
    return Decided(made.decided_at, said, made.comment, made.accepted or made.document_version)
