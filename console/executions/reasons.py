"""Why a document is stale, for people, and whether an execution can make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from access.permissions import NEEDED_ROLE, Action, allows
from access.selectors import Person, role_of
from documents import selectors as documents
from documents.staleness import Reason, ReasonKind
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.states import ENDED, ExecutionStatus
from executions.selectors import staleness
from executions.selectors.executions import waits_for_decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """One reason: an input that has changed or is stale, or a document without an acceptance."""

    kind: ReasonKind
    document_id: UUID
    title: str  # of the version that was read
    from_version: int
    to_version: int
    by: str  # who made the present version; empty: a model
    at: Any  # when; datetime, or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """Why the newest version of a document is stale, and what a person can do about it."""

    reasons: tuple[Because, ...] = ()
    maker: Any = None  # the step that made it; None: no step did
    may_start: bool = False
    may_decide: bool = False

    @property
    def waits(self) -> bool:
        """Whether the document waits for a decision."""
        return self.maker is not None and self._is_open and waits_for_decision(self.maker)

    @property
    def _is_open(self) -> bool:
        return self.maker is not None and ExecutionStatus(self.maker.execution.status) not in ENDED

    @property
    def last_decision(self) -> AcceptanceDecision | None:
        """The last decision about the step's document; None: there is none."""
        decisions = [] if self.maker is None else self.maker.decisions
        return AcceptanceDecision.model_validate(decisions[-1]) if decisions else None

    @property
    def can_be_made_again(self) -> bool:
        """Whether the user may start an execution that makes it again. What only waits for a decision is decided."""
        is_undecided = {each.kind for each in self.reasons} == {ReasonKind.NOT_ACCEPTED} and self._is_open
        is_real = self.maker is not None and self.maker.execution.script is None
        return bool(self.reasons) and self.may_start and is_real and not is_undecided


def staleness_of(user: Person, row: Any) -> Staleness:
    """Return why a document is stale. `row` is its newest version, joined with its head and scope."""
    reasons = staleness.reasons_of(row.document_id)
    if not reasons:
        return Staleness()
    role = role_of(user, row.document.scope)
    return Staleness(
        reasons=_told(reasons),
        maker=staleness.maker_of(row.document_id, row.version),
        may_start=allows(role, NEEDED_ROLE[Action.START]),
        may_decide=allows(role, NEEDED_ROLE[Action.DECIDE]),
    )


def _told(reasons: tuple[Reason, ...]) -> tuple[Because, ...]:
    numbers = [(each.document_id, number) for each in reasons for number in (each.from_version, each.to_version)]
    facts = documents.version_facts(numbers)
    return tuple(_because(each, facts) for each in reasons)


def _because(reason: Reason, facts: Mapping[Any, documents.VersionFacts]) -> Because:
    read = facts.get((reason.document_id, reason.from_version))
    present = facts.get((reason.document_id, reason.to_version))
    return Because(
        kind=reason.kind,
        document_id=reason.document_id,
        title=reason.type if read is None else read.title or reason.type,
        from_version=reason.from_version,
        to_version=reason.to_version,
        by="" if present is None else present.author_name,
        at=None if present is None else present.created_at,
    )
