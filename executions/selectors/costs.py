"""Costs of executions and statistics of workflows, from the call ledger and the executions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import Greatest

from access.selectors import Person
from executions.engine.domain.states import ExecutionStatus, Limit
from executions.models import ExecutionStep
from executions.selectors import calls
from executions.selectors import executions as selectors
from telemetry import selectors as telemetry
from telemetry.percentiles import Percentile
from telemetry.rollups.reads import snapshot
from workflows import selectors as workflows

COMPLETED = ExecutionStatus.COMPLETED.value
PERCENTILE_EXECUTIONS = 1_000  # the error of a 95th percentile of so many is 0.7 percentage points


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCosts:
    """The calls of one attempt of a step, oldest first."""

    attempt: int
    calls: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCosts:
    """The cost of one step."""

    step_id: str
    totals: telemetry.Totals
    attempts: list[AttemptCosts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCosts:
    """The cost of an execution: per step, and their sum."""

    execution_id: UUID
    status: str
    total: telemetry.Totals
    estimated_unknown_cost_usd: Decimal | None  # maximum cost of the ended calls whose cost is unknown
    steps: list[StepCosts]


def execution_costs(*, user: Person, execution_id: UUID) -> ExecutionCosts:
    """Return the cost of all calls of an execution so far.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    execution = selectors.execution(user=user, execution_id=execution_id)
    step_ids = selectors.steps(user=user, execution_id=execution_id).values_list("step_id", flat=True)
    made = defaultdict(list)
    for call in telemetry.calls_of(execution_id):
        made[call.step_id].append(call)
    steps = [_step_costs(step_id, made[step_id]) for step_id in step_ids]
    return ExecutionCosts(
        execution_id=execution.id,
        status=execution.status,
        total=telemetry.add_totals(step.totals for step in steps),
        estimated_unknown_cost_usd=telemetry.max_unknown_cost(call for each in made.values() for call in each),
        steps=steps,
    )


def _step_costs(step_id: str, calls: Iterable[Any]) -> StepCosts:
    by_attempt = groupby(sorted(calls, key=lambda call: call.attempt), key=lambda call: call.attempt)
    attempts = [AttemptCosts(attempt=number, calls=list(made)) for number, made in by_attempt]
    totals = telemetry.add_totals(telemetry.total_of_call(call) for each in attempts for call in each.calls)
    return StepCosts(step_id=step_id, totals=totals, attempts=attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedCalls:
    """Calls that are not made, because they might exceed a limit."""

    limit: Limit
    most_usd: Decimal | None  # maximum cost of the most expensive one; None: one has no known price


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSums:
    """The sums over the calls of one step of the definition: of all its items."""

    slug: str
    name: str
    steps: int  # of the execution: more than one for the items of a collection
    models: list[tuple[str, telemetry.Totals]]  # by requested model

    @property
    def totals(self) -> telemetry.Totals:
        """The sum over all models."""
        return telemetry.add_totals(sums for _, sums in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSums:
    """The cost of an execution by step and model, in the order of the definition. It is bounded by the definition."""

    steps: list[StepSums]
    unknown: telemetry.UnknownCosts
    blocked: list[BlockedCalls]

    @property
    def total(self) -> telemetry.Totals:
        """The sum over all steps."""
        return telemetry.add_totals(each.totals for each in self.steps)


def cost_sums(execution: Any) -> CostSums:
    """Return the cost of all calls of an execution so far, and what its next calls need.

    Two queries do it for any number of items. Permissions are not checked.
    """
    sums = telemetry.costs_by(calls.with_slug(telemetry.calls_of(execution.id)), "slug", "requested_model")
    by_slug: dict[str, list[tuple[str, telemetry.Totals]]] = defaultdict(list)
    for (slug, model), each, _ in sums:
        by_slug[str(slug)].append((str(model), each))
    rows = _steps_of_definition(execution.id)
    steps = [
        StepSums(slug=slug, name=found[0]["title"], steps=sum(each["steps"] for each in found), models=by_slug[slug])
        for slug, found in ((slug, list(found)) for slug, found in groupby(rows, key=lambda row: row["slug"]))
    ]
    unknown = sum((each for *_, each in sums), telemetry.UnknownCosts())
    return CostSums(steps=steps, unknown=unknown, blocked=_blocked(rows))


def _steps_of_definition(execution_id: UUID) -> list[dict[str, Any]]:
    """Return the steps of an execution by definition and limit, in the order of the definition."""
    rows: QuerySet[Any] = calls.with_slug(ExecutionStep.objects.filter(execution_id=execution_id)).order_by()
    counted = rows.values("position", "slug", "blocked_by_limit").annotate(
        title=Max("name"),
        steps=Count("id"),
        most_usd=Max("required_usd"),
        unpriced=Count("id", filter=Q(required_usd=None)),
    )
    return list(counted.order_by("position", "slug", "blocked_by_limit"))


def _blocked(rows: Iterable[dict[str, Any]]) -> list[BlockedCalls]:
    needs: dict[Limit, list[Decimal | None]] = defaultdict(list)
    for row in rows:
        if row["blocked_by_limit"]:
            needs[Limit(row["blocked_by_limit"])].append(None if row["unpriced"] else row["most_usd"])
    return [
        BlockedCalls(limit=limit, most_usd=None if None in found else max(each for each in found if each is not None))
        for limit, found in needs.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Median and 95th percentile; None without values."""

    p50: Any
    p95: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStats:
    """Statistics of a workflow's executions that the user may see."""

    workflow_id: str
    executions: int
    by_status: dict[str, int]
    success_rate: float | None
    remediation_rate: float | None
    duration_seconds: Percentiles
    waiting_seconds: Percentiles
    running_seconds: Percentiles
    cost_usd: Percentiles
    totals: telemetry.Totals


def workflow_stats(*, user: Person, workflow_id: str) -> WorkflowStats:
    """Return statistics of a workflow's executions, without dry runs.

    Percentiles are those of the newest `PERCENTILE_EXECUTIONS` executions: they take the same time for any number.

    Raises:
        NotFound: there is no such workflow.
    """
    workflows.current(workflow_id)
    with snapshot():
        return _workflow_stats(user, workflow_id)


def _workflow_stats(user: Person, workflow_id: str) -> WorkflowStats:
    rows = selectors.of_workflow(user=user, workflow_id=workflow_id)
    counts = dict(rows.order_by().values_list("status").annotate(number=Count("id")))
    usage = telemetry.usage_of_workflow(user=user, workflow_id=workflow_id)
    by_status = {status.value: counts.get(status.value, 0) for status in ExecutionStatus}
    completed, failed = by_status[COMPLETED], by_status[ExecutionStatus.FAILED]
    return WorkflowStats(
        workflow_id=workflow_id,
        executions=sum(by_status.values()),
        by_status=by_status,
        success_rate=_share(completed, completed + failed),
        remediation_rate=_share(usage.remediated_steps, usage.steps),
        **_durations(selectors.newest_completed(user=user, workflow_id=workflow_id, limit=PERCENTILE_EXECUTIONS)),
        cost_usd=_cost_percentiles(
            telemetry.calls_of_executions(
                selectors.newest_of_workflow(user=user, workflow_id=workflow_id, limit=PERCENTILE_EXECUTIONS)
            )
        ),
        totals=usage.totals,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _durations(rows: QuerySet[Any]) -> dict[str, Percentiles]:
    """Return how long executions took from creation to end, and how long of it they waited and ran.

    It waits from its first start on whenever it does not run: for people, for a moment or a budget, or for a retry.
    """
    second = Value(timedelta(seconds=1))
    timed = rows.annotate(
        duration=F("finished_at") - F("created_at"),
        running=ExpressionWrapper(F("ran_seconds") * second, output_field=DurationField()),
    )
    since_start = F("finished_at") - F("started_at")
    timed = timed.annotate(waiting=Greatest(since_start - F("running"), Value(timedelta())))
    found = timed.aggregate(
        **{
            f"{name}_{percent}": Percentile(name, fraction=percent / 100)
            for name in ("duration", "waiting", "running")
            for percent in (50, 95)
        }
    )
    seconds = {key: None if value is None else value.total_seconds() for key, value in found.items()}
    return {
        f"{name}_seconds": Percentiles(p50=seconds[f"{name}_50"], p95=seconds[f"{name}_95"])
        for name in ("duration", "waiting", "running")
    }


def _cost_percentiles(calls: QuerySet[Any]) -> Percentiles:
    """Return the cost per execution, over executions whose cost is completely known."""
    per_execution = (
        calls.order_by()
        .values("execution_id")
        .annotate(cost=Sum("cost_usd", default=Decimal(0)), unknown=telemetry.COUNT_UNPRICED)
        .filter(unknown=0)
    )
    found = per_execution.aggregate(p50=Percentile("cost", fraction=0.5), p95=Percentile("cost", fraction=0.95))
    return Percentiles(p50=found["p50"], p95=found["p95"])
