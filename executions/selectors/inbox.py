"""The inbox: what waits for people, and what the user may do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import (
    BooleanField,
    Case,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.lookups import Exact, GreaterThan

from access.permissions import NEEDED_ROLE, Action, Role, TokenLimits
from access.selectors import Person, named_roots, roots_with_roles, users_with_role
from access.user import User
from common.database.bulk import array_text
from common.database.counts import MAX_COUNT
from documents import selectors as documents
from executions import models
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.states import InboxKind
from executions.engine.domain.waits import Wait

FAILURE_DAYS = 14  # for which a failure is listed
#: The role that acting on a kind needs.
NEEDED = {
    InboxKind.QUESTION: NEEDED_ROLE[Action.ANSWER],
    InboxKind.ACCEPTANCE: NEEDED_ROLE[Action.DECIDE],
    InboxKind.BUDGET: NEEDED_ROLE[Action.BUDGET],
    InboxKind.FAILURE: NEEDED_ROLE[Action.RETRY],
}
Key = tuple[UUID, str]  # execution and step
ORDER = ("since", "id")  # what waits longest comes first


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """An entry with what it is about."""

    entry: models.InboxEntry
    step: models.ExecutionStep | None  # None: it is about the whole execution
    heading: documents.VersionHeading
    limits: list[str]  # that block the execution; empty unless the entry is about a budget

    @property
    def round(self) -> ClarificationRound | None:
        """The open questions; None: it asks none."""
        if self.entry.kind != InboxKind.QUESTION or self.step is None or not self.step.rounds:
            return None
        return ClarificationRound.model_validate(self.step.rounds[-1])

    @property
    def is_blocked(self) -> bool:
        """Whether too few users can vote, and the user may assign others."""
        return bool(getattr(self.entry, "blocked", False))

    @property
    def wait(self) -> Wait | None:
        """The wait of its step."""
        return None if self.step is None or self.step.wait is None else Wait.model_validate(self.step.wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFacts:
    """What tells an entry from others."""

    id: UUID
    kind: InboxKind
    execution_id: UUID
    root_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """The counts of a user's inbox, and the root scopes that they depend on."""

    counts: Mapping[InboxKind, int]
    roots: frozenset[UUID] | None  # None: all


@dataclass(frozen=True, slots=True)
class Reach:
    """What a user may act on: the condition for entries, and whether the user may only assign others to one."""

    condition: Q
    blocked: Case
    roots: Mapping[Role, list[UUID] | None]  # where the user has a role; None: everywhere

    @property
    def owns_any(self) -> bool:
        """Whether the user is an owner of a scope, or staff."""
        return self.roots[Role.OWNER] is None or bool(self.roots[Role.OWNER])


def entries(
    *,
    user: Person,
    now: datetime,
    kind: Iterable[str] = (),
    scope_type: str | None = None,
    scope_id: str | None = None,
    workflow_id: str | None = None,
    assigned_to: str | None = None,
    overdue: bool | None = None,
    dry_run: bool | None = None,
    within: Reach | None = None,
) -> QuerySet[models.InboxEntry]:
    """Return the entries that the user may act on.

    They have the attribute `blocked`: too few users can vote, and the user may assign others. `assigned_to`: those
    whose assignees name the user. `within`: the result of `reach`, if it is known.
    """
    wanted: dict[str, Any] = {
        "kind__in": list(kind) or None,
        "workflow_id": workflow_id,
        "dry_run": dry_run,
        "assignees__contains": None if assigned_to is None else [user.get_username()],
    }
    within = reach(user, now) if within is None else within
    rows = models.InboxEntry.objects.annotate(blocked=within.blocked).filter(
        within.condition,
        **{name: value for name, value in wanted.items() if value is not None},
    )
    if scope_type is not None or scope_id is not None:
        rows = rows.filter(root_id__in=named_roots(scope_type=scope_type, scope_key=scope_id).values("id"))
    if overdue is not None:
        late = Q(due_at__isnull=False, due_at__lte=now)
        rows = rows.filter(late if overdue else ~late)
    return rows


def reach(user: Person, now: datetime) -> Reach:
    """Return the condition for the entries that the user may act on."""
    name = user.get_username()
    old = Q(kind=InboxKind.FAILURE.value, since__lt=now - timedelta(days=FAILURE_DAYS))
    of_others = Q(only_assignees=True) & ~Q(assignees__contains=[name])
    votes = ~of_others & ~Q(excluded__contains=[name]) & ~Q(excluded__contains=[user.pk or 0])
    within = ~old & (votes | Q(blocked=True))
    held = roots_with_roles(user, {*NEEDED.values(), Role.REVIEWER, Role.OPERATOR, Role.OWNER})
    for need in dict.fromkeys(NEEDED.values()):
        if (roots := held[need]) is not None:
            kinds = [kind.value for kind, role in NEEDED.items() if role is need]
            within &= ~Q(kind__in=kinds) | Q(_InRoots(roots))
    return Reach(condition=within, blocked=_blocked(held[Role.OPERATOR]), roots=held)


class _InRoots(Func):
    """Whether an entry is in one of these root scopes. They are one parameter: a user may have thousands."""

    template = "(%(expressions)s::uuid[]))"
    arg_joiner = " = ANY("
    output_field = BooleanField()

    def __init__(self, roots: Iterable[UUID]) -> None:
        super().__init__(F("root_id"), Value(array_text(roots)))


class _Holds(Func):
    """Whether a JSON list holds a value."""

    template = "(%(expressions)s)"
    arg_joiner = " @> "
    output_field = BooleanField()


def _names_user(column: str) -> Q:
    """Return the condition for users of a subquery that a list of the entry names, by id or by name."""
    listed = (_Holds(OuterRef(column), Func(F(each), function="to_jsonb")) for each in ("id", "username"))
    return reduce(or_, map(Q, listed))


def _blocked(assigns_in: list[UUID] | None) -> Case:
    """Return whether too few users can vote about an entry's document, and the user may assign others."""
    able = users_with_role(OuterRef(OuterRef("root_id")), NEEDED[InboxKind.ACCEPTANCE]).exclude(_names_user("barred"))
    able = able.filter(Q(Exact(OuterRef("only_assignees"), Value(False))) | _names_user("assignees"))
    number = able.order_by().annotate(number=Func(F("id"), function="count")).values("number")
    has_votes = Q(required_votes__isnull=False)
    if assigns_in is not None:  # the root scopes where the user may assign; None: all
        has_votes &= Q(_InRoots(assigns_in))
    too_few = GreaterThan(F("required_votes"), Subquery(number, output_field=IntegerField()))
    return Case(When(has_votes, then=too_few), default=Value(False), output_field=BooleanField())


def counts(**filters: Any) -> dict[InboxKind, int]:
    """Return the number of entries of each kind, at most `MAX_COUNT`, by one query; see `entries`."""
    kinds = filters.pop("kind", None) or [each.value for each in InboxKind]
    rows = entries(**filters).order_by().values_list("kind", flat=True)
    first, *others = (rows.filter(kind=each)[:MAX_COUNT] for each in kinds)
    found = Counter(first.union(*others, all=True) if others else first)
    return {kind: found[kind.value] for kind in InboxKind}


def state_of(user_id: int, now: datetime, limits: TokenLimits | None) -> InboxState:
    """Return the state of the inbox of a user, as far as the token reaches (`limits`; None: a session).

    It is empty for a user who may no longer log in.
    """
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        return InboxState(counts=dict.fromkeys(InboxKind, 0), roots=frozenset())
    user.token_limits = limits
    within = reach(user, now)
    roots = within.roots[Role.REVIEWER]
    found = counts(user=user, now=now, within=within)
    return InboxState(counts=found, roots=None if roots is None else frozenset(roots))


def with_executions(rows: QuerySet[models.InboxEntry]) -> QuerySet[models.InboxEntry]:
    """Return entries with their executions and scopes, by the same query."""
    return rows.select_related("execution__scope").defer("execution__input", "execution__script")


def with_subjects(rows: Iterable[models.InboxEntry]) -> list[InboxItem]:
    """Return entries with what they are about, by three queries for all."""
    page = list(rows)
    steps = _steps_of(page)
    limits = _limits_of({each.execution_id for each in page if each.kind == InboxKind.BUDGET})
    decided = [steps.get(_key(each)) for each in page if each.kind == InboxKind.ACCEPTANCE]
    headings = documents.headings((step.document_id, step.document_version) for step in decided if step is not None)
    items = []
    for each in page:
        step = steps.get(_key(each))
        pair = (None, None) if step is None else (step.document_id, step.document_version)
        heading = headings.get(pair, documents.NO_HEADING)
        blocking = limits.get(each.execution_id, []) if each.kind == InboxKind.BUDGET else []
        items.append(InboxItem(entry=each, step=step, heading=heading, limits=blocking))
    return items


def _key(entry: models.InboxEntry) -> Key:
    return (entry.execution_id, entry.step_id)


def _steps_of(page: Iterable[models.InboxEntry]) -> dict[Key, models.ExecutionStep]:
    wanted = {_key(each) for each in page if each.step_id}
    if not wanted:
        return {}
    found = models.ExecutionStep.objects.filter(
        execution_id__in={execution_id for execution_id, _ in wanted}, step_id__in={step_id for _, step_id in wanted}
    )
    return {key: step for step in found if (key := (step.execution_id, step.step_id)) in wanted}


def _limits_of(execution_ids: set[UUID]) -> dict[UUID, list[str]]:
    """Return the limits that block executions, by the execution."""
    if not execution_ids:
        return {}
    blocked = models.ExecutionStep.objects.filter(execution_id__in=execution_ids).exclude(blocked_by_limit="")
    found: dict[UUID, list[str]] = {}
    for execution_id, limit in blocked.order_by("position", "id").values_list("execution_id", "blocked_by_limit"):
        if limit not in (known := found.setdefault(execution_id, [])):
            known.append(limit)
    return found


def entry(entry_id: UUID) -> EntryFacts | None:
    """Return what tells one entry from others; None: there is none. Permissions are not checked."""
    found = models.InboxEntry.objects.filter(id=entry_id).values_list("kind", "execution_id", "root_id").first()
    if found is None:
        return None
    kind, execution_id, root_id = found
    return EntryFacts(id=entry_id, kind=InboxKind(kind), execution_id=execution_id, root_id=root_id)
