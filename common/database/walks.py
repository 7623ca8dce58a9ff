"""Bounded walks over a table: each reads a limited number of rows along one index, whatever the statistics say.

A list needs the newest few rows that match. Which index finds them soonest depends on the data: the newest rows, those
of a workflow, those of the caller's scopes, and so on. So a caller tries one walk after the other with a small budget
of rows, and then again with larger budgets, until a walk is conclusive: it has found enough rows in the order of the
list, or it has read all rows that could match. The cost is that of the best walk, times a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import prod
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from common.database import bulk
from common.database.bulk import array_text

FIRST_BUDGET = 256  # rows that the first walks read
GROWTH = 8  # of the budget, from one round of walks to the next
FEW_STRETCHES = 16  # each of so few may hold the whole page

#: The planner must keep to the index of a walk: with outdated statistics it would read and sort all rows.
_ALONG_INDEXES = "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true), \
set_config('enable_indexscan', 'on', true)"
_BY_BITMAP = "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'on', true), \
set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true)"

#: A time as microseconds since 1970: parsing hundreds of timestamps takes milliseconds.
MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Condition(NamedTuple):
    """A condition or another part of a statement in SQL, and its parameters."""

    sql: str
    values: tuple[Any, ...] = ()


TRUE = Condition("true")


class Found(NamedTuple):
    """A row that matches: its time in the order of the list, in microseconds, and its rank in a search."""

    at: int
    id: UUID
    rank: float

    @property
    def moment(self) -> datetime:
        """The time in the order of the list."""
        return _EPOCH + timedelta(microseconds=self.at)


class After(NamedTuple):
    """The last row of the page before."""

    at: datetime
    id: UUID


class Values(NamedTuple):
    """Values of a column, and their type in SQL."""

    type: str
    values: Sequence[Any]

    @property
    def parameter(self) -> object:
        """The values as a parameter."""
        return array_text(self.values) if self.type == "uuid" else list(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The range of time of a list, and where its page begins; `before` is not included, be it a time or a row."""

    since: datetime | None = None
    before: tuple[datetime, UUID | None] | None = None

    def conditions(self, order: str) -> list[Condition]:
        """Return the conditions on the column of the order and on the id."""
        found = [] if self.since is None else [Condition(f"{order} >= %s", (self.since,))]
        if self.before is not None:
            at, last = self.before
            row = Condition(f"({order}, id) < (%s, %s)", self.before)
            found.append(row if last is not None else Condition(f"{order} < %s", (at,)))
        return found


def bounds_of(*, since: datetime | None, until: datetime | None, after: After | None) -> Bounds:
    """Return the bounds of a page of [since, until) that follows the row `after`."""
    if after is not None and (until is None or after[0] < until):
        return Bounds(since=since, before=after)
    return Bounds(since=since, before=None if until is None else (until, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Stretches of an index: rows with the same values of its first columns.

    Each combination of the values of `each` is a stretch. `each` has these columns in the order of the index, which
    goes on with the column of the order and the id, or has no order. Then no other index has the order of the query,
    so that PostgreSQL takes this one. An index that descends by time can have one such column.

    With `listed`, the rows are those whose ids a query on another table returns, in its column `id`. It also returns
    the column of the order, if it has one. An id whose row is gone counts as a row that does not match.
    """

    each: Mapping[str, Values] = field(default_factory=dict)
    condition: Condition = TRUE  # of the index
    descends: bool = False
    listed: Condition | None = None

    @property
    def stretches(self) -> int:
        """Number of stretches."""
        return prod(len(values) for _, values in self.each.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Rows to walk over, in the order `order` if the indexes of all parts have it; None: in no order."""

    parts: Sequence[Part]
    order: str | None

    @property
    def stretches(self) -> int:
        """Number of stretches of all parts."""
        return sum(part.stretches for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a list. All columns that conditions and results use, as in a SELECT, `id` among the first."""

    name: str
    columns: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A condition that costs more than the filters, and the rank of a row that meets it."""

    hit: Condition
    rank: Condition  # its columns are those of `found`
    columns: str  # of the table, which the rank needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list needs: up to `count` rows that match all conditions, in descending `order` and id."""

    table: Table
    count: int
    order: str
    filters: Sequence[Condition] = ()
    bounds: Bounds = field(default_factory=Bounds)
    match: Match | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk has found, in the order of the list, and whether the list needs no other walk."""

    found: list[Found] = field(default_factory=list)
    is_conclusive: bool = True
    rows: int = 0  # that were read
    hits: int = 0  # of these, rows that meet the condition of `Match`; counted by `sample`


def deepening(paths: Sequence[Path], wanted: Wanted) -> Iterator[Walk]:
    """Yield walks over all paths with growing budgets. One of the walks is conclusive at last."""
    rows = FIRST_BUDGET
    while True:
        for path in paths:
            least = wanted.count if path.stretches <= FEW_STRETCHES else 0
            yield walk(path, wanted, budget=max(budget_of(path, rows), least))
        rows *= GROWTH


def conclusive(paths: Sequence[Path], wanted: Wanted) -> list[Found]:
    """Return what the list needs, by the first conclusive walk; call it within a transaction."""
    return next(each.found for each in deepening(paths, wanted) if each.is_conclusive)[: wanted.count]


def budget_of(path: Path, rows: int) -> int:
    """Return the budget of a walk that shall read a number of rows; stretches share it."""
    return max(rows // max(path.stretches, 1), 2)


def walk(path: Path, wanted: Wanted, *, budget: int, sample: bool = False) -> Walk:
    """Walk over at most `budget` rows of each stretch; call it within a transaction.

    Args:
        path: The rows to walk over.
        wanted: What the list needs.
        budget: Rows to read of each stretch.
        sample: Count the rows that meet the condition of `Match`, also those that fail other conditions.
    """
    in_order = path.order == wanted.order
    sources = [
        _rows_of(each, wanted, number, in_order=in_order, budget=budget) for number, each in enumerate(path.parts)
    ]
    source = Condition(
        " UNION ALL ".join(f"({sql})" for sql, _ in sources), tuple(value for _, values in sources for value in values)
    )
    bulk.execute_later(_ALONG_INDEXES, ())
    read = _run(source, wanted, budget=budget, sample=sample)
    if read.frontier is None:
        return Walk(read.found, True, read.rows, read.hits)
    if not in_order:
        return Walk([], False, read.rows, read.hits)
    found = read.found
    if path.stretches > 1:  # beyond the frontier some stretch may have rows that were not read
        found = [each for each in found if each.at > read.frontier]
    return Walk(found, len(found) >= wanted.count, read.rows, read.hits)


def find_among(where: Condition, wanted: Wanted) -> list[Found]:
    """Find the matches among all rows that meet a condition, by a bitmap; call it within a transaction.

    All these rows are known to meet the condition of `Match`.
    """
    table, match, order = wanted.table, wanted.match, wanted.order
    rank, columns = (Condition("0"), "") if match is None else (match.rank, f", {match.columns}")
    filters = joined([*wanted.filters, *wanted.bounds.conditions(order)])
    sql = f"""
    WITH source AS MATERIALIZED (SELECT {table.columns} FROM {table.name} WHERE {where.sql}),
    found AS (
      SELECT id, {order} AS moment{columns} FROM source WHERE {filters.sql} ORDER BY moment DESC, id DESC LIMIT %s
    )
    SELECT {MICROSECONDS.format("moment")}, id, ({rank.sql})::float8 FROM found ORDER BY moment DESC, id DESC
    """  # noqa: S608
    bulk.execute_later(_BY_BITMAP, ())
    with connection.cursor() as cursor:
        cursor.execute(sql, (*where.values, *filters.values, wanted.count, *rank.values))
        return [Found(*row) for row in cursor.fetchall()]


def joined(conditions: Sequence[Condition]) -> Condition:
    """Return the conjunction of conditions."""
    sql = " AND ".join(f"({each.sql})" for each in conditions if each is not TRUE)
    return Condition(sql or "true", tuple(value for each in conditions for value in each.values))


def _rows_of(part: Part, wanted: Wanted, number: int, *, in_order: bool, budget: int) -> Condition:
    """Return the query for the rows of a part, with the number of the part and of the stretch."""
    table, bounds = wanted.table, wanted.bounds if in_order else Bounds()
    by_time = [f"{wanted.order} DESC", "id DESC"] if in_order else []
    if part.listed is not None:
        where, order = joined(bounds.conditions(wanted.order)), _order_by(by_time)
        sql = f"""SELECT one.*, {number} AS part, 0 AS stretch FROM (
          SELECT id FROM ({part.listed.sql}) AS listed WHERE {where.sql} {order} LIMIT %s
        ) AS chosen LEFT JOIN LATERAL (
          SELECT {table.columns} FROM {table.name} WHERE {table.name}.id = chosen.id OFFSET 0
        ) AS one ON true"""  # noqa: S608
        return Condition(sql, (*part.listed.values, *where.values, budget))
    within = _within(part, bounds, wanted.order)
    where = joined([*within, part.condition])
    order = _order_by([*(f"{name} {'' if part.descends else 'DESC'}" for name in part.each), *by_time])
    rows = f"SELECT {table.columns} FROM {table.name} WHERE {where.sql} {order} LIMIT %s"  # noqa: S608
    given = "".join(
        f"unnest(%s::{values.type}[]) WITH ORDINALITY AS each_{name} (value, number), "
        for name, values in part.each.items()
    )
    stretch = "0"
    for name, values in part.each.items():
        stretch = f"({stretch}) * {len(values.values)} + each_{name}.number"
    sql = f"SELECT one.*, {number} AS part, {stretch} AS stretch FROM {given}LATERAL ({rows}) AS one"  # noqa: S608
    return Condition(sql, (*(each.parameter for each in part.each.values()), *where.values, budget))


def _within(part: Part, bounds: Bounds, order: str) -> list[Condition]:
    """Return the conditions for the rows of a stretch, with which a scan of its index begins and ends.

    An index that ascends is scanned between two rows. Equality would let PostgreSQL leave the columns out of the order,
    and take an index without them.
    """
    names = list(part.each)
    values = [f"each_{name}.value" for name in names]
    if not names:
        return bounds.conditions(order)
    if part.descends:
        [name], [value] = names, values
        return [Condition(f"{name} = ANY(ARRAY[{value}])"), *bounds.conditions(order)]
    first, last = _row(names), _row(values)
    lower, upper = Condition(f"{first} >= {last}"), Condition(f"{first} <= {last}")
    if bounds.since is not None:
        lower = Condition(f"{_row([*names, order])} >= {_row([*values, '%s'])}", (bounds.since,))
    if bounds.before is not None:
        given = tuple(each for each in bounds.before if each is not None)
        columns = [order, "id"][: len(given)]
        upper = Condition(f"{_row([*names, *columns])} < {_row([*values, *['%s'] * len(given)])}", given)
    return [lower, upper]


def _row(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)})"


def _order_by(terms: Sequence[str]) -> str:
    return f"ORDER BY {', '.join(terms)}" if terms else ""


class _Read(NamedTuple):
    rows: int
    frontier: int | None  # None: all stretches were read to their end
    hits: int
    found: list[Found]


def _run(source: Condition, wanted: Wanted, *, budget: int, sample: bool) -> _Read:
    """Read the rows of a query."""
    filters = joined([*wanted.filters, *wanted.bounds.conditions(wanted.order)])
    hit, rank, columns = TRUE, Condition("0"), ""
    if wanted.match is not None:
        hit, rank, columns = wanted.match.hit, wanted.match.rank, f", {wanted.match.columns}"
    checked = (
        hit if sample else Condition(f"CASE WHEN {filters.sql} THEN {hit.sql} END", (*filters.values, *hit.values))
    )
    also = filters if sample else TRUE  # what `checked` leaves out
    sql = f"""
    WITH source AS MATERIALIZED ({source.sql}),
    walked AS MATERIALIZED (SELECT *, {MICROSECONDS.format(wanted.order)} AS at, {checked.sql} AS hit FROM source),
    found AS (SELECT id, at{columns} FROM walked WHERE hit AND {also.sql} ORDER BY at DESC, id DESC LIMIT %s),
    stretches AS (
      SELECT count(*) AS rows, min(at) AS last, count(*) FILTER (WHERE hit) AS hits FROM walked GROUP BY part, stretch
    )
    SELECT total.*, found.at, found.id, ({rank.sql})::float8 FROM (
      SELECT coalesce(sum(rows), 0)::bigint, max(coalesce(last, 0)) FILTER (WHERE rows >= %s),
        coalesce(sum(hits), 0)::bigint
      FROM stretches
    ) AS total LEFT JOIN found ON true ORDER BY found.at DESC, found.id DESC
    """  # noqa: S608
    values = (*source.values, *checked.values, *also.values, wanted.count, *rank.values, budget)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    read, frontier, hits = rows[0][:3]
    return _Read(read, frontier, hits, [Found(*row[3:]) for row in rows if row[4] is not None])
