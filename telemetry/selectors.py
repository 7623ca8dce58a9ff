"""Sums over the ledger. There are no cost counters: every cost is a sum of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Func, Q, QuerySet, Sum, TextField, Value
from django.db.models.expressions import RawSQL

from access.selectors import Person, find_user, named_roots, scope_names, user_names, visible_roots
from common.database import bulk
from common.database.compiled_queries import compiled
from common.names import normalize_name
from telemetry.models import CallStatus, ModelCall
from telemetry.rollups.cuts import TOKENS, Cut, is_unpriced
from telemetry.rollups.reads import WHOLE, Filters, Key, Question, Sums, ask, snapshot


class Totals(NamedTuple):
    """Sum over calls. `known_cost_usd` omits calls with an unknown cost."""

    calls: int = 0
    input_tokens: int = 0  # without cached tokens
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0  # a part of output_tokens
    known_cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0  # calls that may have cost something, with an unknown cost
    cost_final: bool = True  # no call is in progress

    @property
    def total_tokens(self) -> int:
        """Number of all tokens."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_write_input_tokens + self.output_tokens

    @property
    def cost_complete(self) -> bool:
        """Whether the costs of all calls are known."""
        return not self.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """The total cost; None if a part of it is unknown."""
        return self.known_cost_usd if self.cost_complete else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCosts:
    """Calls with an unknown cost."""

    calls: int = 0
    max_cost_usd: Decimal = Decimal(0)  # of the calls that have a max cost
    calls_without_max: int = 0  # whose model has no known price

    def __add__(self, other: UnknownCosts) -> UnknownCosts:
        """Return the sum over both."""
        return UnknownCosts(
            calls=self.calls + other.calls,
            max_cost_usd=self.max_cost_usd + other.max_cost_usd,
            calls_without_max=self.calls_without_max + other.calls_without_max,
        )


#: A failed call without a cost was rejected before it cost anything. A call with a max cost of 0 is free.
IS_UNPRICED = Q(cost_usd=None) & ~Q(status=CallStatus.FAILED) & ~Q(estimated_cost_usd=0)
COUNT_UNPRICED = Count("id", filter=IS_UNPRICED)
_SUMS = {
    "calls": Count("id"),
    **{f"sum_{name}": Sum(name) for name in TOKENS},
    "known_cost_usd": Sum("cost_usd"),
    "unpriced_calls": COUNT_UNPRICED,
    "pending": Count("id", filter=Q(status=CallStatus.PENDING)),
}
_UNKNOWN = {
    "unknown_max": Sum("estimated_cost_usd", filter=IS_UNPRICED, default=Decimal(0)),
    "unknown_without_max": Count("id", filter=IS_UNPRICED & Q(estimated_cost_usd=None)),
}


_OF_EXECUTION = f"""
SELECT count(*), {", ".join(f"sum({name})" for name in TOKENS)}, sum(cost_usd),
  count(*) FILTER (WHERE {is_unpriced("one")}),
  count(*) FILTER (WHERE status = '{CallStatus.PENDING.value}')
FROM telemetry_modelcall AS one WHERE execution_id = %s AND id <> ALL(%s)"""  # noqa: S608 - columns in the order of `_SUMS`


def _totals(sums: Mapping[str, Any]) -> Totals:
    return Totals(
        calls=sums["calls"] or 0,
        **{name: sums[f"sum_{name}"] or 0 for name in TOKENS},
        known_cost_usd=sums["known_cost_usd"] or Decimal(0),
        unpriced_calls=sums["unpriced_calls"] or 0,
        cost_final=not sums["pending"],
    )


def totals(calls: QuerySet[ModelCall]) -> Totals:
    """Return the sum of the calls."""
    return _totals(calls.aggregate(**_SUMS))


def calls_of(execution_id: UUID) -> QuerySet[ModelCall]:
    """Return the calls of an execution, oldest first."""
    return ModelCall.objects.filter(execution_id=execution_id).order_by("started_at", "id")


def newest_errors(steps: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """Return the errors of the newest calls of steps, given as (execution id, step id), with one query."""
    wanted = set(steps)
    if not wanted:
        return {}
    rows = ModelCall.objects.filter(
        execution_id__in={each for each, _ in wanted}, step_id__in={each for _, each in wanted}
    )
    columns = ("execution_id", "step_id")
    newest = rows.order_by(*columns, "-id").distinct(*columns).values_list(*columns, "error")
    return {(execution_id, step_id): error for execution_id, step_id, error in newest if error}


def calls_of_executions(execution_ids: RawSQL) -> QuerySet[ModelCall]:
    """Return the calls of executions, whose ids a query returns."""
    return ModelCall.objects.filter(execution_id__in=execution_ids)


def execution_totals(execution_id: UUID, *, excluded: Collection[UUID] = ()) -> Totals:
    """Return the sum over an execution, without the excluded rows. Each execution needs it when it ends."""
    [found] = bulk.execute(_OF_EXECUTION, [execution_id, list(excluded)]).fetchall()
    return _totals(dict(zip(_SUMS, found, strict=True)))


def step_totals(execution_id: UUID, step_id: str) -> Totals:
    """Return the sum over a step."""
    return totals(ModelCall.objects.filter(execution_id=execution_id, step_id=step_id))


def totals_by_step(execution_id: UUID, step_ids: Collection[str] | None = None) -> dict[str, Totals]:
    """Return the sums over an execution by step id, of all steps or of some; steps without calls are omitted."""
    calls = calls_of(execution_id)
    if step_ids is not None:
        calls = calls.filter(step_id__in=list(step_ids))
    return {str(step_id): sums for (step_id,), sums in totals_by(calls, "step_id")}


def totals_by_slug(execution_id: UUID) -> dict[str, Totals]:
    """Return the sums over an execution by the step of the definition, its items together."""
    slug = Func("step_id", Value("@"), Value(1), function="split_part", output_field=TextField())
    return {str(name): sums for (name,), sums in totals_by(calls_of(execution_id).annotate(slug=slug), "slug")}


def totals_by(calls: QuerySet[ModelCall], *names: str) -> list[tuple[tuple[object, ...], Totals]]:
    """Return the sums of calls by the values of columns or annotations, in their order."""
    rows = calls.order_by().values(*names).annotate(**_SUMS).order_by(*names)
    return [(tuple(row[name] for name in names), _totals(row)) for row in rows]


def costs_by(calls: QuerySet[ModelCall], *names: str) -> list[tuple[tuple[object, ...], Totals, UnknownCosts]]:
    """Return the sums of calls, and those of the unknown costs among them, as `totals_by` does: with one query."""
    rows = calls.order_by().values(*names).annotate(**_SUMS, **_UNKNOWN).order_by(*names)
    return [
        (
            tuple(row[name] for name in names),
            _totals(row),
            UnknownCosts(
                calls=row["unpriced_calls"],
                max_cost_usd=row["unknown_max"],
                calls_without_max=row["unknown_without_max"],
            ),
        )
        for row in rows
    ]


def models_by_step(execution_id: UUID) -> dict[str, list[str]]:
    """Return the requested models of an execution's calls by step id, sorted."""
    rows = ModelCall.objects.filter(execution_id=execution_id).order_by("step_id", "requested_model")
    found: dict[str, list[str]] = {}
    for step_id, model in rows.values_list("step_id", "requested_model").distinct():
        found.setdefault(step_id, []).append(model)
    return found


@compiled
def sums_query(*execution_ids: UUID) -> QuerySet[ModelCall, Any]:
    """Return the query for the sums of many executions; pass its rows to `totals_by_execution`."""
    rows = ModelCall.objects.filter(execution_id__in=execution_ids).values("execution_id")
    return rows.annotate(**_SUMS).order_by("execution_id")


def totals_by_execution(sums: Iterable[Mapping[str, Any]]) -> dict[UUID, Totals]:
    """Return the sums by execution id; executions without calls are omitted."""
    return {row["execution_id"]: _totals(row) for row in sums}


@compiled
def requested_models(*execution_ids: UUID) -> QuerySet[ModelCall, Any]:
    """Return the query for the models that executions have called; pass its rows to `providers_of`."""
    rows = ModelCall.objects.filter(execution_id__in=execution_ids)
    return rows.order_by().values_list("execution_id", "requested_model").distinct()


def providers_of(models: Iterable[tuple[UUID, str]]) -> dict[UUID, set[str]]:
    """Return the providers that each execution has called."""
    found: dict[UUID, set[str]] = {}
    for execution_id, requested in models:
        found.setdefault(execution_id, set()).add(requested.partition(":")[0])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Sum over the calls that share a value."""

    key: dict[str, object]
    executions: int
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Usage and cost in a time range."""

    totals: Totals
    executions: int
    latency_ms_per_call: float | None  # None: no call has a reply
    by_workflow: list[Group]
    groups: dict[str, list[Group]]
    cross: list[Group] | None = None  # None: not asked for

    @property
    def averages(self) -> dict[str, object]:
        """Return averages per execution and per call; None without any."""
        count, sums = self.executions, self.totals
        cost = sums.cost_usd / count if count and sums.cost_usd is not None else None
        return {
            "cost_usd_per_execution": cost,
            "tokens_per_execution": sums.total_tokens / count if count else None,
            "calls_per_execution": sums.calls / count if count else None,
            "latency_ms_per_call": self.latency_ms_per_call,
        }


#: Cut and names of the keys of each grouping, by its public name. A call with several tags belongs to the group of each
#: tag.
GROUPS: dict[str, tuple[Cut, tuple[str, ...]]] = {
    "day": (Cut.TOTAL, ("day",)),
    "model": (Cut.MODEL, ("provider", "model")),
    "workflow": (Cut.WORKFLOW, ("workflow_id",)),
    "step": (Cut.STEP, ("workflow_id", "step_id")),
    "scope": (Cut.SCOPE, ("scope_type", "scope_id")),
    "user": (Cut.USER, ("user",)),
    "tag": (Cut.TAG, ("tag",)),
}


NO_USER = 0  # the id of no user


def filters_of(
    *,
    user: Person,
    since: datetime | None = None,
    until: datetime | None = None,
    dry_run: bool | None = False,
    scope_type: str | None = None,
    scope_id: str | None = None,
    workflow_id: str | None = None,
    started_by: str | None = None,
    model: tuple[str, str] | None = None,
    tag: str | None = None,
) -> Filters:
    """Return filters for the calls started in [since, until) that the user may read.

    `dry_run` selects only the calls of dry runs (True), or omits them (False); None: all calls. `started_by` is the
    name of the user who started the execution. Unknown names select no calls.
    """
    roots = visible_roots(user)
    if scope_type is not None or scope_id is not None:
        visible = None if roots is None else frozenset(roots)
        named = named_roots(scope_type=scope_type, scope_key=scope_id).order_by("id").values_list("id", flat=True)
        roots = [root_id for root_id in named if visible is None or root_id in visible]
    person = None if started_by is None else find_user(started_by)
    return Filters(
        since=since,
        until=until,
        scope_ids=roots,
        dry_run=dry_run,
        workflow_id=workflow_id,
        user_id=None if started_by is None else NO_USER if person is None else person.pk,
        model=model,
        tag=None if tag is None else normalize_name(tag),
    )


def summary(
    *,
    user: Person,
    tz: ZoneInfo,
    group_by: Collection[str] = (),
    by_day: str | None = None,
    by_workflow: bool = True,
    **named: Any,
) -> Summary:
    """Return the costs of the calls that the user may read.

    `by_day` is a grouping that is crossed with days; `named` are filters as of `filters_of`. Without `by_workflow` the
    list by workflow is empty, unless `group_by` asks for it.
    """
    names = dict.fromkeys([*(["workflow"] if by_workflow else []), *group_by])
    whole = Question(cut=Cut.TOTAL)
    asked = {name: Question(cut=GROUPS[name][0], by_day=name == "day") for name in names}
    crossed = None if by_day is None else Question(cut=GROUPS[by_day][0], by_day=True)
    filters = filters_of(user=user, **named)
    with snapshot():
        ask([whole, *asked.values(), *([crossed] if crossed else [])], filters, tz)
        groups = {name: _groups(name, question) for name, question in asked.items()}
        cross = None if by_day is None or crossed is None else _groups(by_day, crossed)
    return _summary(whole, groups=groups, group_by=group_by, cross=cross)


def summary_of_scopes(*, user: Person, tz: ZoneInfo, largest: int, **named: Any) -> Summary:
    """Return costs by scope and by day, and by both for the scopes with the highest known cost alone.

    A table of all scopes and days reads every call of the time range, if days are not those of UTC.
    """
    whole, scopes, days = Question(cut=Cut.TOTAL), Question(cut=Cut.SCOPE), Question(cut=Cut.TOTAL, by_day=True)
    crossed = Question(cut=Cut.SCOPE, by_day=True)
    filters = filters_of(user=user, **named)
    with snapshot():
        ask([whole, scopes, days], filters, tz)
        names = _shown_names("scope", scopes)
        ranked = sorted(scopes.answer, key=lambda key: (*_by_cost(scopes.answer[key]), *map(str, names[key].values())))
        ask([crossed], replace(filters, scope_ids=[UUID(key) for _, key, _ in ranked[:largest]]), tz)
        groups = {"scope": _groups("scope", scopes), "day": _groups("day", days)}
        cross = _groups("scope", crossed)
    return _summary(whole, groups=groups, group_by=list(groups), cross=cross)


def ranked_groups(groups: Iterable[Group]) -> list[Group]:
    """Return groups, which are in the order of their names, by known cost and number of calls; most comes first."""
    return sorted(groups, key=lambda each: _by_cost(each.totals))


def _by_cost(sums: Sums | Totals) -> tuple[Decimal, int]:
    return (-sums.known_cost_usd, -sums.calls)


def _summary(
    whole: Question, *, groups: Mapping[str, list[Group]], group_by: Collection[str], cross: list[Group] | None
) -> Summary:
    sums = whole.answer.get(WHOLE, Sums())
    return Summary(
        totals=totals_of(sums),
        executions=sums.executions,
        latency_ms_per_call=sums.latency_ms / sums.timed_calls if sums.timed_calls else None,
        by_workflow=groups.get("workflow", []),
        groups={name: groups[name] for name in group_by},
        cross=cross,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowUsage:
    """Sum over the calls of a workflow, and its steps in all executions."""

    totals: Totals
    steps: int  # that called a model
    remediated_steps: int  # whose output had to be corrected


def usage_of_workflow(*, user: Person, workflow_id: str) -> WorkflowUsage:
    """Return the usage of a workflow in the executions that the user may read, without dry runs."""
    whole, steps, remediated = (Question(cut=cut) for cut in (Cut.TOTAL, Cut.STEP, Cut.REMEDIATED))
    filters = Filters(scope_ids=visible_roots(user), dry_run=False, workflow_id=workflow_id)
    ask([whole, steps, remediated], filters, ZoneInfo("UTC"))
    return WorkflowUsage(
        totals=totals_of(whole.answer.get(WHOLE, Sums())),
        steps=sum(each.executions for each in steps.answer.values()),
        remediated_steps=sum(each.executions for each in remediated.answer.values()),
    )


def totals_of(sums: Sums) -> Totals:
    """Return sums over calls as totals."""
    return Totals(
        calls=sums.calls,
        input_tokens=sums.input_tokens,
        cache_read_input_tokens=sums.cache_read_input_tokens,
        cache_write_input_tokens=sums.cache_write_input_tokens,
        output_tokens=sums.output_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        known_cost_usd=sums.known_cost_usd,
        unpriced_calls=sums.unpriced_calls,
        cost_final=not sums.pending_calls,
    )


def _groups(name: str, question: Question) -> list[Group]:
    names = _shown_names(name, question)
    found = [
        Group(key={**_day(key), **names[key]}, executions=sums.executions, totals=totals_of(sums))
        for key, sums in question.answer.items()
    ]
    if name == "user":  # the only name that may be missing
        return sorted(found, key=lambda group: [(value is None, value or "") for value in group.key.values()])
    return sorted(found, key=lambda group: tuple(group.key.values()))


def _day(key: Key) -> dict[str, object]:
    return {} if key[0] is None else {"day": key[0].isoformat()}


def _shown_names(name: str, question: Question) -> dict[Key, dict[str, object]]:
    """Return the shown values of a grouping's keys, without the day."""
    columns = GROUPS[name][1]
    if name == "day":
        return {key: {} for key in question.answer}
    if name == "user":
        users = user_names(int(key) for _, key, _ in question.answer if key)
        return {key: {"user": users[int(key[1])] if key[1] else None} for key in question.answer}
    if name == "scope":
        ids = {key: UUID(key[1]) for key in question.answer}
        scopes = scope_names(ids.values())
        return {key: dict(zip(columns, scopes[scope_id], strict=True)) for key, scope_id in ids.items()}
    return {key: dict(zip(columns, key[1:], strict=False)) for key in question.answer}


def add_totals(parts: Iterable[Totals]) -> Totals:
    """Add up sums."""
    found = list(parts)
    return Totals(
        calls=sum(each.calls for each in found),
        **{name: sum(getattr(each, name) for each in found) for name in TOKENS},
        known_cost_usd=sum((each.known_cost_usd for each in found), Decimal(0)),
        unpriced_calls=sum(each.unpriced_calls for each in found),
        cost_final=all(each.cost_final for each in found),
    )


def max_unknown_cost(calls: Iterable[ModelCall]) -> Decimal | None:
    """Return the max cost of ended calls with an unknown cost; None if one of these calls has no known price."""
    ignored = {CallStatus.PENDING, CallStatus.FAILED}  # in progress; rejected before it cost anything
    estimates = [call.estimated_cost_usd for call in calls if call.cost_usd is None and call.status not in ignored]
    known = [each for each in estimates if each is not None]
    return sum(known, Decimal(0)) if len(known) == len(estimates) else None


def total_of_call(call: ModelCall) -> Totals:
    """Return the sum over a single call."""
    return Totals(
        calls=1,
        **{name: getattr(call, name) for name in TOKENS},
        known_cost_usd=call.cost_usd or Decimal(0),
        unpriced_calls=int(call.cost_usd is None and call.status != CallStatus.FAILED and call.estimated_cost_usd != 0),
        cost_final=call.status != CallStatus.PENDING,
    )
