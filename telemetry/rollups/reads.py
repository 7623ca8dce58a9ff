"""Exact sums over the ledger: sealed blocks, and the ledger itself for what is not sealed or was changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from common.database import bulk
from common.database.bulk import SqlQuery, array_text, run_together
from telemetry.rollups.blocks import Level, Parts, Span, days_of, decompose, end_of, floor
from telemetry.rollups.cuts import BY_HOUR, COLUMNS, SUMS, Cut, keys_of, levels_of, sums_again, sums_of

_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NO_COMPILATION = "SELECT set_config('jit', 'off', true)"  # it takes longer than the queries
_STATE = """
SELECT (SELECT sealed_until FROM telemetry_rollupstate), min(started_at), max(started_at) FROM telemetry_modelcall"""
_CHANGED = """
SELECT DISTINCT changed.start FROM telemetry_changedquarter AS changed, telemetry_rollupstate AS state
WHERE changed.start < state.sealed_until ORDER BY changed.start"""
_BUSY = "SELECT scope_id, since FROM telemetry_busyscope WHERE scope_id = ANY(%s)"

#: OFFSET 0, here and below, has the planner look for few rows in one index, again and again. Parameters: numbers,
#: begins, levels, starts and ends of runs; the cut.
_SEALED = """
SELECT run.number, {keys},
  coalesce(sum(block.executions) FILTER (WHERE block.previous IS NULL OR block.previous < run.since), 0)::bigint, {sums}
FROM unnest(%s::integer[], %s::timestamptz[], %s::smallint[], %s::timestamptz[], %s::timestamptz[])
  AS run (number, since, level, start, until)
CROSS JOIN LATERAL (
  SELECT {columns} FROM telemetry_rollup AS block
  WHERE block.cut = %s AND block.level = run.level AND block.start >= run.start AND block.start < run.until AND {which}
  OFFSET 0
) AS block
GROUP BY 1, 2, 3"""
#: Parameters: numbers, begins, starts and ends of raw parts. An execution that was active in the group since the
#: begin of the range counts where it was active first.
_RAW = """
WITH call AS MATERIALIZED (
  SELECT part.number, part.since, one.*, keys.key, keys.subkey
  FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    AS part (number, since, start, until)
  CROSS JOIN LATERAL (
    SELECT {columns} FROM telemetry_modelcall AS one
    WHERE one.started_at >= part.start AND one.started_at < part.until AND {which}
    OFFSET 0
  ) AS one
  CROSS JOIN LATERAL ({keys_of_one}) AS keys
), first AS (
  SELECT call.number, call.key, call.subkey, call.execution_id, call.since, min(call.started_at) AS at
  FROM call GROUP BY 1, 2, 3, 4, 5
), counted AS (
  SELECT first.number, first.key, first.subkey, count(*) AS executions FROM first
  WHERE first.since IS NULL OR NOT EXISTS (
    SELECT FROM (
      SELECT {columns_of_other} FROM telemetry_modelcall AS other WHERE other.execution_id = first.execution_id OFFSET 0
    ) AS other CROSS JOIN LATERAL ({keys_of_other}) AS keys
    WHERE other.started_at >= first.since AND other.started_at < first.at
      AND keys.key = first.key AND keys.subkey = first.subkey
  )
  GROUP BY 1, 2, 3
), sums AS (
  SELECT call.number, call.key, call.subkey, {sums} FROM call GROUP BY 1, 2, 3
)
SELECT sums.number, sums.key, sums.subkey, coalesce(counted.executions, 0), {names}
FROM sums LEFT JOIN counted USING (number, key, subkey)"""
#: Rows of blocks say in which quarter an execution was active before. If a range begins within this quarter, only the
#: ledger knows whether that was in the range. Parameters: numbers, starts and ends of runs; numbers, quarters, begins
#: and ends of ranges.
_WITHIN_QUARTER = """
WITH run AS (
  SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS run (number, start, until)
), before AS (
  SELECT DISTINCT part.number, part.since, part.until, one.execution_id, keys.key, keys.subkey
  FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    AS part (number, quarter, since, until)
  JOIN telemetry_modelcall AS one ON one.started_at >= part.quarter AND one.started_at < part.since AND {which}
  CROSS JOIN LATERAL ({keys_of_one}) AS keys
), next AS (
  SELECT before.number, before.key, before.subkey, min(other.started_at) AS at
  FROM before JOIN telemetry_modelcall AS other
    ON other.execution_id = before.execution_id AND other.started_at >= before.since
    AND other.started_at < before.until
  CROSS JOIN LATERAL ({keys_of_other}) AS keys
  WHERE keys.key = before.key AND keys.subkey = before.subkey
  GROUP BY before.number, before.execution_id, before.key, before.subkey
)
SELECT next.number, next.key, next.subkey, count(*), {zeros} FROM next
WHERE EXISTS (SELECT FROM run WHERE run.number = next.number AND next.at >= run.start AND next.at < run.until)
GROUP BY next.number, next.key, next.subkey"""


_NAMED_SUMS = ", ".join(f"{value} AS {name}" for name, value in sums_of("call").items())
_BLOCK_COLUMNS = [f"block.{name}" for name in ("previous", "executions", *SUMS)]
_LEDGER_COLUMNS = ", ".join(f"one.{name}" for name in COLUMNS)


class Sums(NamedTuple):
    """Sums over the calls of a group. A tuple, because an answer may have thousands of groups."""

    executions: int = 0
    calls: int = 0
    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    known_cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0
    pending_calls: int = 0
    latency_ms: int = 0
    timed_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A part of the answer with sums of its own: the whole time range, or a day."""

    day: date | None
    spans: Sequence[Span]  # more than one only if the clocks go back over midnight

    @property
    def start(self) -> datetime:
        """When it begins."""
        return self.spans[0].start


Key = tuple[date | None, str, str]  # day (None: the whole time range), key and subkey of the cut
WHOLE: Key = (None, "", "")  # of the cut `total`


@dataclass(slots=True, kw_only=True)
class Question:
    """A cut of the calls, as a whole or by day. `ask` fills `answer`."""

    cut: Cut
    by_day: bool = False
    answer: dict[Key, Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls are meant."""

    since: datetime | None = None
    until: datetime | None = None
    scope_ids: Collection[UUID] | None = None  # None: all scopes
    dry_run: bool | None = None  # None: both
    workflow_id: str | None = None
    user_id: int | None = None
    model: tuple[str, str] | None = None  # provider and model
    tag: str | None = None

    @property
    def groups(self) -> dict[Cut, tuple[str, ...]]:
        """The groups whose calls alone are meant: keys by cut."""
        found = {
            Cut.WORKFLOW: None if self.workflow_id is None else (self.workflow_id,),
            Cut.USER: None if self.user_id is None else (str(self.user_id),),
            Cut.MODEL: self.model,
            Cut.TAG: None if self.tag is None else (self.tag,),
        }
        return {cut: keys for cut, keys in found.items() if keys is not None}

    def source(self, cut: Cut) -> _Source:
        """Return the blocks that answer a question about a cut of these calls.

        Blocks are sums over the groups of one cut. So they know the calls of a single group, and the steps of a
        workflow. The ledger answers all other questions.
        """
        groups = self.groups
        if not groups:
            return _Source(cut)
        [(narrowed, keys), *others] = groups.items()
        if others:
            return _Source(cut, has_blocks=False)
        if cut is Cut.TOTAL or cut is narrowed is not Cut.TAG:  # a call may have other tags, too
            return _Source(narrowed, keys)
        if narrowed is Cut.WORKFLOW and cut in {Cut.STEP, Cut.REMEDIATED}:
            return _Source(cut, keys)
        return _Source(cut, has_blocks=False)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the answer to a question is read."""

    cut: Cut
    keys: tuple[str, ...] = ()  # only groups whose keys begin with these
    has_blocks: bool = True  # False: it is read from the ledger alone

    def cut_of_blocks(self, which: Filters | _Scopes) -> Cut:
        """Return the cut whose blocks are read. Rows of single scopes are the groups by scope."""
        return Cut.TOTAL if self.cut is Cut.SCOPE and which.scope_ids is not None else self.cut

    def has(self, *keys: str) -> bool:
        """Return whether a group is meant."""
        return keys[: len(self.keys)] == self.keys


@dataclass(frozen=True, slots=True)
class _State:
    sealed_until: datetime | None
    span: Span | None  # full months with all calls; None: there are no calls
    changed: Sequence[datetime]
    busy: Mapping[UUID, datetime]  # those of the scopes that are meant which are busy, and since when

    def clip(self, filters: Filters) -> Span | None:
        """Return the part of a time range that has calls; None: there is no such part."""
        if self.span is None:
            return None
        start, until = self.span.start, self.span.until
        start = start if filters.since is None else max(start, filters.since)
        until = until if filters.until is None else min(until, filters.until)
        return Span(start, until) if start < until else None

    def levels(self, cut: Cut, group: _Scopes) -> Mapping[Level, Span]:
        """Return the range of the sealed blocks of each level."""
        if self.sealed_until is None or self.span is None:
            return {}
        until = self.sealed_until
        today, month = floor(until, Level.DAY), floor(until, Level.MONTH)
        first = dict.fromkeys(Level, self.span.start)
        if group.scope_ids is not None:
            first[Level.DAY] = group.busy_since or month
            first[Level.HOUR] = end_of(group.busy_since, Level.MONTH) if group.busy_since else today
        if cut not in BY_HOUR:
            first[Level.HOUR] = today
        return {
            level: Span(min(first[level], today), floor(until, level))
            for level in levels_of(cut, scoped=group.scope_ids is not None)
        }

    def groups(self, filters: Filters) -> list[_Scopes]:
        """Return the scopes that are meant, in groups that have kept the same blocks."""
        if filters.scope_ids is None:
            return [_Scopes(None, None)]
        found: dict[datetime | None, list[UUID]] = {}
        for scope_id in filters.scope_ids:
            found.setdefault(self.busy.get(scope_id), []).append(scope_id)
        return [_Scopes(ids, since) for since, ids in found.items()]


@dataclass(frozen=True, slots=True)
class _Scopes:
    """Scopes that have kept the same blocks."""

    scope_ids: Sequence[UUID] | None  # None: all scopes
    busy_since: datetime | None  # None: they are not busy


def ask(questions: Sequence[Question], filters: Filters, tz: ZoneInfo) -> None:
    """Answer questions from one snapshot.

    Raises:
        django.db.Error: a query failed.
    """
    with snapshot():
        state = _state(filters)
        span = state.clip(filters)
        if span is None:
            return
        by_day = any(each.by_day for each in questions)
        whole = [Range(day=None, spans=[span])]
        days = [Range(day=day, spans=spans) for day, spans in days_of(span, tz).items()] if by_day else []
        plans = []
        for each, group in product(questions, state.groups(filters)):
            source = filters.source(each.cut)
            levels = state.levels(source.cut_of_blocks(group), group) if source.has_blocks else {}
            ranges = days if each.by_day else whole
            parts = [_parts(one, levels, state.changed) for one in ranges]
            plans.append(_Plan(each, source, replace(filters, scope_ids=group.scope_ids), ranges, parts))
        queries = [plan.queries() for plan in plans]
        run_together(*(query for made in queries for query in made))
    for plan, made in zip(plans, queries, strict=True):
        plan.collect(row for query in made for row in query.rows)


@contextmanager
def snapshot() -> Iterator[None]:
    """Read from one snapshot. Within a transaction of the caller, its isolation level applies."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        bulk.execute(_BEGIN, [])
        bulk.prefer_indexes()
        bulk.execute(_NO_COMPILATION, [])
        yield


def _state(filters: Filters) -> _State:
    state, changed, busy = (
        SqlQuery(_STATE, []),
        SqlQuery(_CHANGED, []),
        SqlQuery(_BUSY, [list(filters.scope_ids or [])]),
    )
    run_together(state, changed, busy)
    [(sealed_until, first, last)] = state.rows
    span = None if first is None else Span(floor(first, Level.MONTH), end_of(floor(last, Level.MONTH), Level.MONTH))
    return _State(sealed_until, span, [start for (start,) in changed.rows], dict(busy.rows))


def _parts(part: Range, levels: Mapping[Level, Span], changed: Sequence[datetime]) -> Parts:
    if len(part.spans) > 1:
        return Parts([], part.spans)
    return decompose(part.spans[0], levels, changed)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a question is answered: the ranges of its answer, and the parts of each."""

    question: Question
    source: _Source
    filters: Filters
    ranges: Sequence[Range]
    parts: Sequence[Parts]

    def queries(self) -> list[SqlQuery]:
        """Return the queries whose rows add up to the answer."""
        return [*self._sealed(), *self._raw(), *self._within_quarter()]

    def collect(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add the rows of the queries to the question's answer."""
        answer = self.question.answer
        is_total, has_all = self.question.cut is Cut.TOTAL, not self.source.keys
        for number, key, subkey, *values in rows:
            if not (has_all or self.source.has(key, subkey)):
                continue
            place = (self.ranges[number].day, *(("", "") if is_total else (key, subkey)))
            if (known := answer.get(place)) is not None:
                values = [one + value for one, value in zip(known, values, strict=True)]
            answer[place] = Sums(*values)

    def _sealed(self) -> Iterator[SqlQuery]:
        runs = [
            (number, floor(self.ranges[number].start, Level.QUARTER), int(run.level), run.span.start, run.span.until)
            for number, each in enumerate(self.parts)
            for run in each.runs
        ]
        if not runs:
            return
        cut = self.source.cut_of_blocks(self.filters)
        scopes = cut is not self.source.cut
        keys = "block.scope_id::text, ''" if scopes else "block.key, block.subkey"
        which, values = self._conditions("block")
        columns = ", ".join(["block.scope_id"] * scopes + ["block.key", "block.subkey", *_BLOCK_COLUMNS])
        text = _SEALED.format(keys=keys, columns=columns, sums=sums_again("block"), which=which)
        yield SqlQuery(text, [*_columns(runs), cut.value, *values])

    def _raw(self) -> Iterator[SqlQuery]:
        raw = [
            (number, self.ranges[number].start if each.runs else None, span.start, span.until)
            for number, each in enumerate(self.parts)
            for span in each.raw
        ]
        if not raw:
            return
        which, values = self._conditions("one")
        text = _RAW.format(
            which=which,
            columns=_LEDGER_COLUMNS,
            columns_of_other=", ".join(f"other.{name}" for name in COLUMNS),
            keys_of_one=keys_of(self.source.cut, "one"),
            keys_of_other=keys_of(self.source.cut, "other"),
            sums=_NAMED_SUMS,
            names=", ".join(f"sums.{name}" for name in SUMS),
        )
        yield SqlQuery(text, [*_columns(raw), *values])

    def _within_quarter(self) -> Iterator[SqlQuery]:
        begins = [
            (number, floor(each.start, Level.QUARTER), each.start, each.spans[0].until)
            for number, each in enumerate(self.ranges)
            if self.parts[number].runs and each.start != floor(each.start, Level.QUARTER)
        ]
        if not begins:
            return
        runs = [(number, run.span.start, run.span.until) for number, each in enumerate(self.parts) for run in each.runs]
        which, values = self._conditions("one")
        text = _WITHIN_QUARTER.format(
            which=which,
            keys_of_one=keys_of(self.source.cut, "one"),
            keys_of_other=keys_of(self.source.cut, "other"),
            zeros=", ".join(["0"] * len(SUMS)),
        )
        yield SqlQuery(text, [*_columns(runs), *_columns(begins), *values])

    def _conditions(self, alias: str) -> tuple[str, list[object]]:
        """Return the condition for rows, and its parameters: rows of the ledger, or of blocks (`block`)."""
        if alias != "block":
            return conditions(self.filters, alias)
        which, values = conditions(replace(self.filters, **_ANY_GROUP), alias)
        parts = [which] if self.filters.scope_ids is not None else [which, "block.scope_id IS NULL"]
        parts += [f"block.{name} = %s" for name, _ in zip(("key", "subkey"), self.source.keys, strict=False)]
        return " AND ".join(parts), [*values, *self.source.keys]


_ANY_GROUP: dict[str, Any] = {"workflow_id": None, "user_id": None, "model": None, "tag": None}


def conditions(filters: Filters, alias: str) -> tuple[str, list[object]]:
    """Return the condition for the calls that are meant, at any time, and its parameters. `alias` is that of a call."""
    provider, model = filters.model or (None, None)
    wanted: list[tuple[str, object]] = [
        ("scope_id = ANY(%s)", None if filters.scope_ids is None else list(filters.scope_ids)),
        ("dry_run = %s", filters.dry_run),
        ("workflow_id = %s", filters.workflow_id),
        ("user_id = %s", filters.user_id),
        ("provider = %s", provider),
        ("model = %s", model),
        ("tags ? %s", filters.tag),
    ]
    found = [(text, value) for text, value in wanted if value is not None]
    return " AND ".join(f"{alias}.{text}" for text, _ in found) or "true", [value for _, value in found]


def _columns(rows: Iterable[tuple[object, ...]]) -> list[str]:
    return [array_text(column) for column in zip(*rows, strict=True)]
