"""Bounded walks over documents: each reads a limited number of rows along one index, whatever the statistics say.

A list needs the newest few rows that match. Which index finds them soonest depends on the data: the newest rows, those
of a workflow, those of the caller's scopes, and so on. So a caller tries one walk after the other with a small budget
of rows, and then again with larger budgets, until a walk is conclusive: it has found enough rows in the order of the
list, or it has read all rows that could match. The cost is that of the best walk, times a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from common.database import bulk

#: The planner must keep to the index of a walk: with outdated statistics it would read and sort all rows.
_ALONG_INDEXES = "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'on', true)"
_BY_WORDS = "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'on', true), \
set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true)"

#: A time as microseconds since 1970: parsing hundreds of timestamps takes milliseconds.
MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"

UPDATED, CREATED = "updated_at", "created_at"

#: All columns that conditions and results use; the words stay out of line until they are compared.
_COLUMNS = "id, root_id, scope_id, type, status, workflow_id, author_name, stale, created_at, updated_at, search"


class Condition(NamedTuple):
    """A condition in SQL, and its parameters."""

    sql: str
    values: tuple[Any, ...] = ()


class Found(NamedTuple):
    """A document that matches: its time in the order of the list, in microseconds, and its rank in a search."""

    at: int
    id: UUID
    rank: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a search, as a query of PostgreSQL."""

    language: str
    text: str

    @property
    def sql(self) -> Condition:
        """The query as an expression."""
        return Condition("websearch_to_tsquery(%s::regconfig, %s)", (self.language, self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list needs: up to `count` rows that match all conditions, in descending `order` and id."""

    count: int
    order: str = UPDATED
    filters: Sequence[Condition] = ()
    bounds: Sequence[Condition] = ()  # conditions on `order` and id, with which every walk in order begins
    words: Words | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Rows to walk over: those that meet a condition, in the order `order` if an index has it."""

    condition: Condition | None = None
    order: str | None = UPDATED  # None: in no order
    each: Sequence[UUID] = ()  # walk over each of these roots apart, instead of a condition


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk has found, in the order of the list, and whether the list needs no other walk."""

    found: list[Found] = field(default_factory=list)
    is_conclusive: bool = True
    rows: int = 0  # that were read
    hits: int = 0  # of these, rows with the words of the search; counted by `sample`


def walk(path: Path, wanted: Wanted, *, budget: int, sample: bool = False) -> Walk:
    """Walk over at most `budget` rows; call it within a transaction.

    Args:
        path: The rows to walk over.
        wanted: What the list needs.
        budget: Rows to read; of each root, if the path has roots.
        sample: Count the rows with the words of the search, also those that fail other conditions.
    """
    in_order = path.order == wanted.order
    source = _source(path, wanted, budget=budget)
    bulk.execute_later(_ALONG_INDEXES, ())
    with connection.cursor() as cursor:
        read, frontier, hits, found = _run(cursor, source, wanted, budget=budget, sample=sample)
    is_whole = read < budget if not path.each else frontier is None
    if is_whole:
        return Walk(found, True, read, hits)
    if not in_order:
        return Walk([], False, read, hits)
    if path.each:  # beyond the frontier some root may have rows that were not read
        found = [each for each in found if frontier is None or each.at > frontier]
    return Walk(found, len(found) >= wanted.count, read, hits)


def find_by_words(wanted: Wanted) -> list[Found]:
    """Find the matches by the text index, which reads all documents with the words; call it within a transaction."""
    if wanted.words is None:
        raise ValueError("the list has no words")
    query, where = wanted.words.sql, joined([*wanted.filters, *wanted.bounds])
    sql = f"""
    WITH source AS MATERIALIZED (
      SELECT {_COLUMNS} FROM documents_document WHERE search @@ {query.sql}
    ), found AS (
      SELECT id, {wanted.order} AS moment, search FROM source WHERE {where.sql} ORDER BY moment DESC, id DESC LIMIT %s
    )
    SELECT {MICROSECONDS.format("moment")}, id, ts_rank_cd(search, {query.sql})::float8 FROM found
    ORDER BY moment DESC, id DESC
    """  # noqa: S608
    bulk.execute_later(_BY_WORDS, ())
    with connection.cursor() as cursor:
        cursor.execute(sql, (*query.values, *where.values, wanted.count, *query.values))
        return [Found(*row) for row in cursor.fetchall()]


def joined(conditions: Sequence[Condition]) -> Condition:
    """Return the conjunction of conditions."""
    sql = " AND ".join(f"({each.sql})" for each in conditions)
    return Condition(sql or "true", tuple(value for each in conditions for value in each.values))


def _source(path: Path, wanted: Wanted, *, budget: int) -> Condition:
    """Return the query for the rows of a walk."""
    in_order = path.order == wanted.order
    order = f"ORDER BY {wanted.order} DESC, id DESC" if in_order else ""
    where = joined([*(wanted.bounds if in_order else ()), *([path.condition] if path.condition else [])])
    if not path.each:
        sql = f"SELECT {_COLUMNS} FROM documents_document WHERE {where.sql} {order} LIMIT %s"  # noqa: S608
        return Condition(sql, (*where.values, budget))
    sql = f"""SELECT part.* FROM unnest(%s::uuid[]) AS each (root), LATERAL (
      SELECT {_COLUMNS} FROM documents_document WHERE root_id = each.root AND {where.sql} {order} LIMIT %s
    ) AS part"""  # noqa: S608
    return Condition(sql, (list(path.each), *where.values, budget))


def _run(
    cursor: Any, source: Condition, wanted: Wanted, *, budget: int, sample: bool
) -> tuple[int, int | None, int, list[Found]]:
    """Return the number of rows, the time of the frontier of roots, the hits, and the matches in order."""
    filters = joined([*wanted.filters, *wanted.bounds])
    hit, rank = Condition("true"), Condition("0")
    if wanted.words is not None:
        query = wanted.words.sql
        hit = Condition(f"search @@ {query.sql}", query.values)
        rank = Condition(f"ts_rank_cd(found.search, {query.sql})", query.values)
    checked = (
        hit if sample else Condition(f"CASE WHEN {filters.sql} THEN {hit.sql} END", (*filters.values, *hit.values))
    )
    sql = f"""
    WITH source AS MATERIALIZED ({source.sql}),
    walked AS MATERIALIZED (SELECT *, {MICROSECONDS.format(wanted.order)} AS at, {checked.sql} AS hit FROM source),
    found AS (SELECT id, at, search FROM walked WHERE hit AND {filters.sql} ORDER BY at DESC, id DESC LIMIT %s),
    roots AS (
      SELECT count(*) AS rows, min(at) AS last, count(*) FILTER (WHERE hit) AS hits FROM walked GROUP BY root_id
    )
    SELECT total.*, found.at, found.id, ({rank.sql})::float8 FROM (
      SELECT coalesce(sum(rows), 0)::bigint, max(last) FILTER (WHERE rows >= %s), coalesce(sum(hits), 0)::bigint
      FROM roots
    ) AS total LEFT JOIN found ON true ORDER BY found.at DESC, found.id DESC
    """  # noqa: S608
    values = (*source.values, *checked.values, *filters.values, wanted.count, *rank.values, budget)
    cursor.execute(sql, values)
    rows = cursor.fetchall()
    read, frontier, hits = rows[0][:3]
    return read, frontier, hits, [Found(*row[3:]) for row in rows if row[4] is not None]
