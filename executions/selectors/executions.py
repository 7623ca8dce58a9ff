"""Queries on executions. Users see only the executions of their own scopes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.expressions import RawSQL

from access.permissions import Action, permitted
from access.selectors import (
    Person,
    limits_of,
    only_root,
    reader_id,
    role_of,
    roles_in,
    root_scope,
    scopes_of_reader,
    visible_roots,
    visible_scopes,
)
from common.database.bulk import run_together
from common.database.compiled_queries import compiled
from common.database.counts import MAX_COUNT
from common.database.walks import After
from common.errors import NotFound
from documents import selectors as documents
from executions import models
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Execution, ScopeRef, slug_of
from executions.engine.domain.states import ACTIVE, ENDED, ExecutionStatus, Reuse, StepStatus
from executions.engine.domain.waits import Wait
from executions.selectors import lists
from executions.selectors.details import (
    DetailQueries,
    ExecutionDetails,
    new_details,
    possible_in_step,
    roles_in_execution,
)
from executions.selectors.details import waits_for_decision as waits_for_decision
from telemetry import selectors as telemetry
from workflows import repository as workflows
from workflows.definitions.definition import AcceptancePolicy

#: The limit is that of all statuses: without it PostgreSQL would read and sort all executions.
_OF_WORKFLOW = """(
SELECT created_at, id FROM executions_execution
WHERE workflow_id = %s AND script IS NULL AND status = %s{own} ORDER BY created_at DESC, id DESC LIMIT %s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPage:
    """One page of a list. `next` are the values that the next page begins after; None on the last page."""

    executions: Sequence[models.Execution]
    next: tuple[datetime, UUID] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """A step with its document's title and its newest round of questions."""

    step: models.ExecutionStep
    heading: documents.VersionHeading
    round: ClarificationRound | None
    acceptance: AcceptancePolicy | None  # None: the document needs no acceptance
    deferred_because: str | None  # error of its last call; None: it is not deferred
    may: Sequence[Action]  # what the caller may do with it now

    @property
    def earlier_rounds(self) -> list[ClarificationRound]:
        """The rounds before the newest, oldest first."""
        return [ClarificationRound.model_validate(each) for each in self.step.rounds[:-1]]

    @property
    def decisions(self) -> list[AcceptanceDecision]:
        """The decisions about versions of its document, oldest first."""
        return [AcceptanceDecision.model_validate(each) for each in self.step.decisions]

    @property
    def deferred_until(self) -> datetime | None:
        """When the deferred step continues; None: it is not deferred."""
        return self.step.resume_at if _is_deferred(self.step) else None

    @property
    def needs_decision(self) -> bool:
        """Whether its document waits for a person's decision."""
        return waits_for_decision(self.step)

    @property
    def wait(self) -> Wait | None:
        """Its wait for answers or for a decision; None: it waits for neither."""
        asks = self.step.status == StepStatus.WAITING.value and self.step.asked_at is not None
        if not asks and not self.needs_decision:
            return None
        if self.step.wait is None:  # it began before waits were recorded
            return Wait(since=self.step.asked_at or self.step.execution.updated_at)
        return Wait.model_validate(self.step.wait)

    @property
    def deadline(self) -> datetime | None:
        """The deadline of its open questions; None: there is none."""
        return None if self.round is None or self.step.asked_at is None else self.round.expires_at

    @property
    def scope(self) -> ScopeRef:
        """The scope of its document."""
        row = self.step.scope or self.step.execution.scope
        return ScopeRef(id=row.id, type=row.type, key=row.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The range of events in an execution's log, for a client that may follow it."""

    execution_id: UUID
    root_id: UUID  # id of the root scope, where roles are assigned
    oldest: int  # number of the oldest stored event
    last: int  # number of the newest event
    ended: bool  # no more events follow, unless the execution is retried


def executions(*, user: Person) -> QuerySet[models.Execution]:
    """Return the executions that the user may see."""
    return _with_parts().filter(scope__in=visible_scopes(user))


def newest_executions(
    *, user: Person, query: lists.ExecutionQuery, limit: int, after: After | None = None
) -> ExecutionPage:
    """Return a page of the executions that the user may see and that match, newest first, with their workflows."""
    with transaction.atomic():
        found = lists.newest(user=user, query=query, count=limit + 1, after=after)
        page = found[:limit]
        by_id = {row.id: row for row in _of_ids(*(each.id for each in page))}
    last = page[-1] if len(found) > limit else None
    return ExecutionPage(
        executions=[by_id[each.id] for each in page if each.id in by_id],
        next=None if last is None else (last.moment, last.id),
    )


@transaction.atomic
def count_newest(*, user: Person, query: lists.ExecutionQuery) -> int:
    """Return the number of executions that the user may see and that match, at most `MAX_COUNT`."""
    return len(lists.newest(user=user, query=query, count=MAX_COUNT))


@compiled
def _of_ids(*execution_ids: UUID) -> QuerySet[models.Execution]:
    rows = _with_parts().select_related("workflow_version__workflow").defer("workflow_version__workflow__description")
    return rows.filter(id__in=execution_ids)


def of_workflow(*, user: Person, workflow_id: str) -> QuerySet[models.Execution]:
    """Return the executions of a workflow that the user may see, without dry runs, by columns of one index."""
    rows = models.Execution.objects.filter(workflow_id=workflow_id, script__isnull=True)
    roots = visible_roots(user)
    return rows if roots is None else rows.filter(scope_id__in=roots)


def newest_of_workflow(*, user: Person, workflow_id: str, limit: int) -> RawSQL:
    """Return the query for the ids of a workflow's newest executions that the user may see, without dry runs.

    The index begins with the status, so these are the newest of the newest of each status.
    """
    roots = visible_roots(user)
    own, given = ("", []) if roots is None else (" AND scope_id = ANY(%s::uuid[])", [roots])
    statuses = [each.value for each in ExecutionStatus]
    parts = " UNION ALL ".join([_OF_WORKFLOW.format(own=own)] * len(statuses))
    newest = f"SELECT id FROM ({parts}) AS execution ORDER BY created_at DESC, id DESC LIMIT %s"  # noqa: S608
    return RawSQL(newest, [value for status in statuses for value in (workflow_id, status, *given, limit)] + [limit])  # noqa: S611 - no input in it


def newest_completed(*, user: Person, workflow_id: str, limit: int) -> QuerySet[models.Execution]:
    """Return the newest executions of a workflow that were completed and that the user may see, without dry runs."""
    rows = of_workflow(user=user, workflow_id=workflow_id).filter(status=ExecutionStatus.COMPLETED.value)
    return rows.order_by("-created_at", "-id")[:limit]


def execution(*, user: Person, execution_id: UUID) -> models.Execution:
    """Return one execution.

    Raises:
        NotFound: there is no such execution, or the user may not see it.
    """
    for row in _visible(execution_id, reader_id(user), only_root(user)):
        return row
    raise NotFound("There is no such execution.")


def details(*, user: Person, execution_id: UUID) -> ExecutionDetails:
    """Return one execution with its progress and cost, in one round trip.

    Raises:
        NotFound: there is no such execution, or the user may not see it.
    """
    rows, roles = (
        _visible(execution_id, reader_id(user), only_root(user)),
        roles_in_execution(user.pk or 0, execution_id),
    )
    facts = DetailQueries([execution_id], limited=[execution_id], user=user, roles=roles)
    run_together(rows, *facts.questions)
    if not (found := list(rows)):
        raise NotFound("There is no such execution.")
    return facts.of(found)[0]


@compiled
def _visible(execution_id: UUID, user_id: int | None, only: UUID | None) -> QuerySet[models.Execution]:
    rows = _with_parts().select_related("workflow_version__workflow").defer("workflow_version__workflow__description")
    return rows.filter(id=execution_id, scope__in=scopes_of_reader(user_id, only))


def _with_parts() -> QuerySet[models.Execution]:
    """Return all executions with their scopes and versions of workflows, as responses show them."""
    rows = models.Execution.objects.select_related("workflow_version", "scope")
    return rows.defer("workflow_version__definition")


def with_details(rows: Iterable[models.Execution], *, user: Person) -> list[ExecutionDetails]:
    """Return executions with their progress, their cost and what the user may do, in one round trip for all."""
    page = list(rows)
    limited = [row.id for row in page if row.budget is not None]
    roles = roles_in(user, {row.scope_id for row in page})
    facts = DetailQueries([row.id for row in page], limited=limited, user=user, roles=roles)
    if page:
        run_together(*facts.questions)
    return facts.of(page)


def stored_details(value: Execution, *, user: Person) -> ExecutionDetails:
    """Return an execution that the user has just stored, with its progress and cost."""
    if value.version == 1:
        return new_details(value, user=user)
    limited = [] if value.budget is None else [value.id]
    facts = DetailQueries([value.id], limited=limited, user=user, roles=roles_in(user, [value.scope.id]))
    run_together(*facts.questions)
    return facts.of_value(value)


def steps(
    *, user: Person, execution_id: UUID, since: int | None = None, status: Collection[str] | None = None
) -> QuerySet[models.ExecutionStep]:
    """Return the steps of an execution, in order of definition: all, those of some statuses, or with newer events.

    If events after `since` have been pruned, all steps count as having some.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    row = execution(user=user, execution_id=execution_id)
    rows = models.ExecutionStep.objects.filter(execution=row)
    if status is not None:
        rows = rows.filter(status__in=status)
    if since is not None and since + 1 >= row.oldest_sequence:
        told = models.ExecutionEvent.objects.filter(execution=row, sequence__gt=since, step_id__isnull=False)
        rows = rows.filter(step_id__in=told.values("step_id"))
    rows = rows.select_related("scope", "execution__scope", "execution__workflow_version")
    return rows.defer("execution__workflow_version__definition").order_by("position", "item_order", "id")


def document_names(keys: Collection[tuple[UUID, str]], *, user: Person) -> dict[tuple[UUID, str], str]:
    """Return title and scope of the documents of steps, for those that the user may see, by two queries."""
    rows = models.ExecutionStep.objects.filter(
        execution__in=executions(user=user).filter(id__in={execution_id for execution_id, _ in keys}),
        step_id__in={step_id for _, step_id in keys},
    )
    steps = [each for each in rows.select_related("execution__scope") if (each.execution_id, each.step_id) in keys]
    headings = documents.headings((each.document_id, each.document_version) for each in steps)
    names = {}
    for each in steps:
        heading, scope = headings.get((each.document_id, each.document_version)), each.execution.scope
        title = each.name if heading is None else heading.title or each.name
        names[each.execution_id, each.step_id] = f"{title} ({scope.type} / {scope.key})"
    return names


def decisions_of_steps(steps: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], list[AcceptanceDecision]]:
    """Return the decisions about the documents of steps, oldest first. Permissions are not checked."""
    rows = models.ExecutionStep.objects.filter(
        execution_id__in={each for each, _ in steps}, step_id__in={step_id for _, step_id in steps}
    )
    return {
        (execution_id, step_id): [AcceptanceDecision.model_validate(each) for each in made]
        for execution_id, step_id, made in rows.values_list("execution_id", "step_id", "decisions")
        if (execution_id, step_id) in steps
    }


def decisions_about(document_ids: Collection[UUID]) -> dict[UUID, list[AcceptanceDecision]]:
    """Return the decisions about all versions of each document, oldest first. Permissions are not checked.

    They are in the steps that have made its versions. People edit and accept versions of these.
    """
    makers = documents.makers(document_ids)
    found = decisions_of_steps({each.step for each in makers})
    made: dict[UUID, list[AcceptanceDecision]] = {each: [] for each in document_ids}
    for maker in makers:
        made[maker.document_id] += found.get(maker.step, [])
    return {each: sorted(decided, key=lambda one: one.decided_at) for each, decided in made.items()}


def proposed_versions(document_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the newest proposed version of each document for which a step waits; others are left out."""
    proposed = documents.proposals(document_ids)
    if not proposed:
        return {}
    waiting = models.ExecutionStep.objects.filter(
        execution_id__in={each.execution_id for each in proposed if each.execution_id},
        document_id__in={each.document_id for each in proposed},
        status=StepStatus.WAITING.value,
        asked_at=None,
        resume_at=None,
        blocked_by_limit="",
    )
    pairs = set(waiting.values_list("document_id", "document_version"))
    wanted = sorted((each.document_id, each.version) for each in proposed)
    return {key: version for key, version in wanted if (key, version) in pairs}


def scope_of(execution_id: UUID) -> UUID | None:
    """Return the id of an execution's scope; None: there is no such execution. Permissions are not checked."""
    return models.Execution.objects.filter(id=execution_id).values_list("scope_id", flat=True).first()


def failed_step(execution_id: UUID) -> models.ExecutionStep | None:
    """Return the first step whose failure has failed an execution; None: there is none. Permissions are not checked."""
    rows = models.ExecutionStep.objects.filter(
        execution_id=execution_id, status=StepStatus.FAILED.value, optional=False
    )
    return rows.only("step_id", "name", "label").order_by("position", "item_order", "id").first()


def document_of_step(*, execution_id: UUID, step_id: str) -> UUID | None:
    """Return the id of a step's document; None if it has none. Permissions are not checked."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id=step_id)
    return rows.values_list("document_id", flat=True).first()


def open_executions_of(document_id: UUID) -> list[UUID]:
    """Return the ids of the open executions that have made or reused a document, in order."""
    makers = {each.step[0] for each in documents.makers([document_id])}
    reusing = Q(scope_id=documents.root_of(document_id), reuse=Reuse.CURRENT.value)
    rows = models.Execution.objects.filter(Q(id__in=makers) | reusing, status__in=[each.value for each in ACTIVE])
    among = list(rows.order_by("id").values_list("id", flat=True))
    steps = models.ExecutionStep.objects.filter(execution_id__in=among, document_id=document_id)
    return list(steps.order_by("execution_id").values_list("execution_id", flat=True).distinct())


def step_details(rows: Iterable[models.ExecutionStep], *, user: Person) -> list[StepDetails]:
    """Return steps of one execution with titles, reasons for deferral and what the user may do: a query for each."""
    page = list(rows)
    role = role_of(user, page[0].execution.scope) if page else None
    reasons = telemetry.newest_errors((row.execution_id, row.step_id) for row in page if _is_deferred(row))
    policies = {row.execution_id: _policies(row.execution) for row in {row.execution_id: row for row in page}.values()}
    made = [(row.document_id, row.document_version) for row in page]
    headings = documents.headings(made)
    return [
        StepDetails(
            step=row,
            heading=headings.get(pair, documents.NO_HEADING),
            round=ClarificationRound.model_validate(row.rounds[-1]) if row.rounds else None,
            acceptance=policies[row.execution_id].get(slug_of(row.step_id)),
            deferred_because=reasons.get((row.execution_id, row.step_id)),
            may=permitted(role, possible_in_step(row, user), limits=limits_of(user)),
        )
        for row, pair in zip(page, made, strict=True)
    ]


def _is_deferred(row: models.ExecutionStep) -> bool:
    return row.resume_at is not None and not row.blocked_by_limit


def _policies(row: models.Execution) -> dict[str, AcceptancePolicy | None]:
    definition = workflows.get_definition(row.workflow_id, row.workflow_version.version)
    return {step.id: step.decision for step in definition.steps}


def events(
    *, user: Person, execution_id: UUID, after: int = 0, types: Collection[str] | None = None
) -> QuerySet[models.ExecutionEvent]:
    """Return the stored events of an execution after a number, of all types or of some.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    row = execution(user=user, execution_id=execution_id)
    rows = models.ExecutionEvent.objects.filter(execution=row, sequence__gt=after)
    return (rows if types is None else rows.filter(event_type__in=types)).order_by("sequence", "id")


def events_of_step(execution_id: UUID, step_id: str, *, types: Collection[str]) -> list[ProgressEvent]:
    """Return the stored events of some types of a step, oldest first. Permissions are not checked."""
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id, step_id=step_id, event_type__in=types)
    return [progress_event(each) for each in rows.order_by("sequence", "id")]


def log_of(*, user: Person, execution_id: UUID) -> Log:
    """Return the range of events in an execution's log.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    columns = ("scope__root_id", "scope_id", "oldest_sequence", "last_sequence", "status")
    found = executions(user=user).filter(id=execution_id).values_list(*columns).first()
    if found is None:
        raise NotFound("There is no such execution.")
    root_id, scope_id, oldest, last, status = found
    return Log(execution_id=execution_id, root_id=root_id or scope_id, oldest=oldest, last=last, ended=status in ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedExtent:
    """The range of events in a root scope's feed, for a client that may follow it."""

    root_id: UUID
    last: int  # number of the newest event


def feed_of(*, user: Person, scope_type: str, scope_key: str) -> FeedExtent:
    """Return the range of events in a root scope's feed.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
    """
    scope = root_scope(user, scope_type=scope_type, scope_key=scope_key)
    if scope is None:
        raise NotFound("There is no such scope.")
    last = models.Feed.objects.filter(scope=scope).values_list("last", flat=True).first()
    return FeedExtent(root_id=scope.id, last=last or 0)


def is_log_exhausted(log: Log, *, after: int, types: Collection[str] | None = None) -> bool:
    """Return whether no further event exists or will follow after this number (if given: of these types)."""
    if not log.ended or after + 1 < log.oldest:
        return False  # the client has to be informed that events were pruned
    rows = models.ExecutionEvent.objects.filter(execution_id=log.execution_id, sequence__gt=after)
    return after >= log.last or (types is not None and not rows.filter(event_type__in=types).exists())


def progress_event(row: models.ExecutionEvent) -> ProgressEvent:
    """Return an event row as an engine value."""
    return ProgressEvent(
        execution_id=row.execution_id,
        sequence=row.sequence,
        event_type=row.event_type,
        step_id=row.step_id,
        data=row.data,
        timestamp=row.timestamp,
    )


def workers_alive(*, since: datetime) -> int:
    """Return the number of workers with a heartbeat since then, at most `MAX_COUNT`."""
    return models.WorkerHeartbeat.objects.filter(heartbeat_at__gte=since)[:MAX_COUNT].count()


def newest_heartbeat() -> datetime | None:
    """Return the time of the newest worker heartbeat; None if there is no worker."""
    return models.WorkerHeartbeat.objects.aggregate(newest=Max("heartbeat_at"))["newest"]


def newest_workers(*, limit: int) -> list[models.WorkerHeartbeat]:
    """Return the workers with the newest heartbeats, those that have stopped included."""
    return list(models.WorkerHeartbeat.objects.order_by("-heartbeat_at", "name")[:limit])
