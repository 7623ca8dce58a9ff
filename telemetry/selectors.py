"""Sums over the ledger. There is no counter anywhere: what something cost is the sum of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Avg, Count, F, Func, Q, QuerySet, Sum, TextField
from django.db.models.functions import TruncDay

from access.selectors import Person, visible_scopes
from common.database import bulk
from telemetry.models import CallStatus, ModelCall

TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A sum of calls. `known_cost_usd` leaves out those whose price is not known."""

    calls: int = 0
    input_tokens: int = 0  # without cached ones
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0  # a part of output_tokens
    known_cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0  # those that may have cost something, and nobody knows what (yet)
    cost_final: bool = True  # no call is under way

    @property
    def total_tokens(self) -> int:
        """All tokens, each counted once."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_write_input_tokens + self.output_tokens

    @property
    def cost_complete(self) -> bool:
        """Whether it is known what every call has cost."""
        return not self.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """The whole cost; None when a part of it is not known."""
        return self.known_cost_usd if self.cost_complete else None


#: A failed call without a price was refused before it cost anything; what costs nothing at most has cost nothing.
WITHOUT_PRICE = Count("id", filter=Q(cost_usd=None) & ~Q(status=CallStatus.FAILED) & ~Q(estimated_cost_usd=0))
_SUMS = {
    "calls": Count("id"),
    **{f"sum_{name}": Sum(name) for name in TOKENS},
    "known_cost_usd": Sum("cost_usd"),
    "unpriced_calls": WITHOUT_PRICE,
    "under_way": Count("id", filter=Q(status=CallStatus.PENDING)),
}


_OF_EXECUTION = f"""
SELECT count(*), {", ".join(f"sum({name})" for name in TOKENS)}, sum(cost_usd),
  count(*) FILTER (WHERE cost_usd IS NULL AND status <> '{CallStatus.FAILED.value}'
    AND estimated_cost_usd IS DISTINCT FROM 0),
  count(*) FILTER (WHERE status = '{CallStatus.PENDING.value}')
FROM telemetry_modelcall WHERE execution_id = %s AND id <> ALL(%s)"""  # noqa: S608 - in the order of the sums above


def _totals(sums: Mapping[str, Any]) -> Totals:
    return Totals(
        calls=sums["calls"] or 0,
        **{name: sums[f"sum_{name}"] or 0 for name in TOKENS},
        known_cost_usd=sums["known_cost_usd"] or Decimal(0),
        unpriced_calls=sums["unpriced_calls"] or 0,
        cost_final=not sums["under_way"],
    )


def totals(calls: QuerySet[ModelCall]) -> Totals:
    """Return the sum of the calls."""
    return _totals(calls.aggregate(**_SUMS))


def calls_of(execution_id: UUID) -> QuerySet[ModelCall]:
    """Return an execution's calls in order of step, attempt and time."""
    return ModelCall.objects.filter(execution_id=execution_id).order_by("started_at", "id")


def newest_errors(steps: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """Return for steps (execution, step) how the newest call of each failed, which takes one query for all of them."""
    wanted = set(steps)
    if not wanted:
        return {}
    rows = ModelCall.objects.filter(
        execution_id__in={each for each, _ in wanted}, step_id__in={each for _, each in wanted}
    )
    columns = ("execution_id", "step_id")
    newest = rows.order_by(*columns, "-id").distinct(*columns).values_list(*columns, "error")
    return {(execution_id, step_id): error for execution_id, step_id, error in newest if error}


def calls_of_workflow(*, user: Person, workflow_id: str) -> QuerySet[ModelCall]:
    """Return the calls of a workflow's executions, as far as the user may read them; those of dry runs left out."""
    return ModelCall.objects.filter(workflow_id=workflow_id, scope__in=visible_scopes(user), dry_run=False)


def execution_totals(execution_id: UUID, *, but: Collection[UUID] = ()) -> Totals:
    """Return the sum over an execution, without these rows; every execution is asked for it as it ends."""
    [found] = bulk.execute(_OF_EXECUTION, [execution_id, list(but)]).fetchall()
    return _totals(dict(zip(_SUMS, found, strict=True)))


def step_totals(execution_id: UUID, step_id: str) -> Totals:
    """Return the sum over a step."""
    return totals(ModelCall.objects.filter(execution_id=execution_id, step_id=step_id))


def sums_of(execution_ids: Iterable[UUID]) -> QuerySet[ModelCall, Any]:
    """Return the sums of many executions, to be given to `totals_by_execution`."""
    rows = ModelCall.objects.filter(execution_id__in=list(execution_ids)).values("execution_id")
    return rows.annotate(**_SUMS).order_by("execution_id")


def totals_by_execution(sums: Iterable[Mapping[str, Any]]) -> dict[UUID, Totals]:
    """Return the sums by execution; those without calls are left out."""
    return {row["execution_id"]: _totals(row) for row in sums}


def models_asked(execution_ids: Iterable[UUID]) -> QuerySet[ModelCall, Any]:
    """Return which models executions have asked, to be given to `providers_of`."""
    rows = ModelCall.objects.filter(execution_id__in=list(execution_ids))
    return rows.order_by().values_list("execution_id", "requested_model").distinct()


def providers_of(models: Iterable[tuple[UUID, str]]) -> dict[UUID, set[str]]:
    """Return the providers that each execution has asked."""
    found: dict[UUID, set[str]] = {}
    for execution_id, requested in models:
        found.setdefault(execution_id, set()).add(requested.partition(":")[0])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The sum of the calls that share a value."""

    key: dict[str, object]
    executions: int
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was spent in a span of time."""

    totals: Totals
    executions: int
    latency_ms_per_call: float | None  # None: no call was answered
    by_workflow: list[Group]
    groups: dict[str, list[Group]]

    @property
    def averages(self) -> dict[str, object]:
        """Return means per execution and call; None where there is nothing to divide by."""
        count, sums = self.executions, self.totals
        cost = sums.cost_usd / count if count and sums.cost_usd is not None else None
        return {
            "cost_usd_per_execution": cost,
            "tokens_per_execution": sums.total_tokens / count if count else None,
            "calls_per_execution": sums.calls / count if count else None,
            "latency_ms_per_call": self.latency_ms_per_call,
        }


class _Each(Func):
    """The texts of a JSON array, a row for each."""

    function = "jsonb_array_elements_text"
    output_field = TextField()
    set_returning = True


#: Public name of a group → the columns that make it. A call with several tags is in the group of each of them.
GROUPS: dict[str, dict[str, str]] = {
    "day": {"day": "day"},
    "model": {"provider": "provider", "model": "model"},
    "workflow": {"workflow_id": "workflow_id"},
    "step": {"workflow_id": "workflow_id", "step_id": "step_id"},
    "scope": {"scope_type": "scope__type", "scope_id": "scope__key"},
    "user": {"user": "user__username"},
    "tag": {"tag": "tag"},
}


def summary(
    *,
    user: Person,
    since: datetime | None = None,
    until: datetime | None = None,
    tz: ZoneInfo,
    group_by: Iterable[str] = (),
    dry_run: bool | None = False,
) -> Summary:
    """Return what the calls begun in [since, until) cost, over everything that the user may read.

    `dry_run` says whether those of dry runs are looked at alone, or left out; None: all calls are.
    """
    rows = ModelCall.objects.filter(scope__in=visible_scopes(user))
    if dry_run is not None:
        rows = rows.filter(dry_run=dry_run)
    if since is not None:
        rows = rows.filter(started_at__gte=since)
    if until is not None:
        rows = rows.filter(started_at__lt=until)
    whole = rows.aggregate(**_SUMS, executions=Count("execution_id", distinct=True), latency=Avg("latency_ms"))
    return Summary(
        totals=_totals(whole),
        executions=whole["executions"],
        latency_ms_per_call=None if whole["latency"] is None else float(whole["latency"]),
        by_workflow=_groups(rows, "workflow", tz),
        groups={name: _groups(rows, name, tz) for name in group_by},
    )


def _groups(rows: QuerySet[ModelCall], name: str, tz: ZoneInfo) -> list[Group]:
    columns = GROUPS[name]
    if name == "day":
        rows = rows.annotate(day=TruncDay("started_at", tzinfo=tz))
    if name == "tag":
        rows = rows.annotate(tag=_Each("tags"))
    named = rows.values(**{f"key_{key}": F(column) for key, column in columns.items()})
    keys = [f"key_{key}" for key in columns]
    found: Iterable[Mapping[str, Any]] = named.annotate(
        **_SUMS, executions=Count("execution_id", distinct=True)
    ).order_by(*keys)
    return [
        Group(
            key={key: _shown(row[f"key_{key}"]) for key in columns},
            executions=row["executions"],
            totals=_totals(row),
        )
        for row in found
    ]


def _shown(value: object) -> object:
    return value.date().isoformat() if isinstance(value, datetime) else value


def merged(parts: Iterable[Totals]) -> Totals:
    """Return the sum of sums."""
    whole = Totals()
    for part in parts:
        whole = replace(
            whole,
            calls=whole.calls + part.calls,
            **{name: getattr(whole, name) + getattr(part, name) for name in TOKENS},
            known_cost_usd=whole.known_cost_usd + part.known_cost_usd,
            unpriced_calls=whole.unpriced_calls + part.unpriced_calls,
            cost_final=whole.cost_final and part.cost_final,
        )
    return whole


def estimate(calls: Iterable[ModelCall]) -> Decimal | None:
    """Return what the calls that ended with an unknown cost have cost at most; None when one has no known price."""
    others = {CallStatus.PENDING, CallStatus.FAILED}  # under way; refused before it cost anything
    estimates = [call.estimated_cost_usd for call in calls if call.cost_usd is None and call.status not in others]
    known = [each for each in estimates if each is not None]
    return sum(known, Decimal(0)) if len(known) == len(estimates) else None


def total_of_call(call: ModelCall) -> Totals:
    """Return one call as a sum."""
    return Totals(
        calls=1,
        **{name: getattr(call, name) for name in TOKENS},
        known_cost_usd=call.cost_usd or Decimal(0),
        unpriced_calls=int(call.cost_usd is None and call.status != CallStatus.FAILED and call.estimated_cost_usd != 0),
        cost_final=call.status != CallStatus.PENDING,
    )
