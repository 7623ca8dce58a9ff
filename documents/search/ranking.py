"""Full-text search: the newest matches, ranked.

Frequent words are found by a walk over the newest documents, rare words by the text index. A sample of the newest
documents tells how frequent the words are, so outdated statistics of the planner do no harm. Words that no index
helps with, such as only excluded ones, are sought among a limited number of the newest documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from access.selectors import Person
from common.database.walks import GROWTH, MICROSECONDS, Found, Path, Walk, Wanted, budget_of, joined, walk
from documents.search.index import VECTOR
from documents.search.lists import DocumentQuery, Plan, plan_walks
from documents.search.texts import texts_as_json, without_tags
from documents.search.walks import DOCUMENTS, Words, find_by_words

MAX_MATCHES = 500  # the newest ones, which are ranked
SAMPLE = 256  # newest documents whose words are compared first
MAX_COMPARED = 131_072  # documents whose words are compared one by one
NOT_INDEXED = 64  # newest documents without words that are read by a search itself
NOT_INDEXED_WALK = 1_000  # of these, documents that may be the user's
NOT_INDEXED_BYTES = 1_000_000  # of these, stored contents

#: Comparing the words of one document takes as long as reading this many matches from the text index.
_COMPARISON = 8

#: Of a head without its words, about: before the first ANALYZE the database knows no number of rows.
_ROW_BYTES = 250

_MINUS_SIGNS = re.compile(r"-(?:[^\w\"]*-)+")
_DESCRIBE = """
SELECT numnode(query) > 0, querytree(query) NOT IN ('', 'T'), query::text LIKE '%%<%%',
  (
    SELECT greatest(reltuples, pg_relation_size(oid) / {row_bytes}) FROM pg_class
    WHERE oid = 'documents_document'::regclass
  )
FROM (SELECT {query} AS query) AS given
"""
_NOT_INDEXED = """
WITH walked AS MATERIALIZED (
  SELECT {columns} FROM documents_document WHERE search IS NULL ORDER BY updated_at DESC, id DESC LIMIT %s
), mine AS (
  SELECT id, version, title, {at} AS at FROM walked WHERE {filters} ORDER BY {order} DESC, id DESC LIMIT %s
), sized AS (
  SELECT mine.id, mine.at, mine.title, newest.content, row_number() OVER counted AS number,
    sum(pg_column_size(newest.content)) OVER counted AS bytes
  FROM mine JOIN documents_documentversion AS newest ON newest.document_id = mine.id AND newest.version = mine.version
  WINDOW counted AS (ORDER BY mine.at DESC, mine.id DESC)
)
SELECT counted.*, at, id, title, content
FROM (SELECT (SELECT count(*) FROM walked), (SELECT count(*) FROM mine)) AS counted
LEFT JOIN sized ON number = 1 OR bytes <= %s
"""
_COLUMNS = (
    "id, version, title, root_id, scope_id, type, status, workflow_id, author_name, stale, created_at, updated_at, "
    "erased_at"
)
_COMPARE = f"""
SELECT id, ts_rank_cd(words, {{query}})::float8
FROM json_to_recordset(%s::json) AS row (id uuid, title text, texts text),
  LATERAL (SELECT {VECTOR.format(language="%s::regconfig", title="title", texts="texts::json")} AS words) AS computed
WHERE words @@ {{query}}
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Matches:
    """The newest matches, best first. `truncated`: there are more, or may be more."""

    found: list[Found]
    truncated: bool


class _Query(NamedTuple):
    has_words: bool  # other queries match nothing
    is_indexable: bool
    has_phrases: bool  # the text index does not know the order of words
    documents: float  # in the database, about


def words_of(q: str) -> Words:
    """Return the words of a search text. PostgreSQL parses each minus sign as a `not`, and fails above 32."""
    return Words(language=settings.SEARCH_LANGUAGE, text=_MINUS_SIGNS.sub(" ", without_tags(q)))


def best(*, user: Person, query: DocumentQuery, q: str) -> Matches:
    """Return the newest matches that the user may read, best first: by rank, then newest first."""
    plan, words = plan_walks(user=user, query=query), words_of(q)
    if not plan.paths:
        return Matches([], False)
    wanted = Wanted(
        table=DOCUMENTS,
        count=MAX_MATCHES + 1,
        order=query.order,
        filters=plan.filters,
        bounds=plan.bounds,
        match=words.match,
    )
    with transaction.atomic():
        described = _describe(words)
        if not described.has_words:
            return Matches([], False)
        found, is_whole = _newest_matches(plan, wanted, described)
        fresh, is_whole_fresh = _not_indexed(plan, wanted, words)
    every = sorted([*found, *fresh], reverse=True)  # newest first
    ranked = sorted(every[:MAX_MATCHES], key=attrgetter("rank"), reverse=True)  # of equal rank, newest first
    return Matches(ranked, len(every) > MAX_MATCHES or not (is_whole and is_whole_fresh))


def _describe(words: Words) -> _Query:
    with connection.cursor() as cursor:
        cursor.execute(_DESCRIBE.format(query=words.sql.sql, row_bytes=_ROW_BYTES), words.sql.values)
        return _Query(*cursor.fetchone())


def _newest_matches(plan: Plan, wanted: Wanted, described: _Query) -> tuple[list[Found], bool]:
    """Return matches in the order of the list, and whether there are no others."""
    best_path, densest, sample = plan.paths[-1], 0.0, Walk()
    for path in plan.paths:
        is_last = path is plan.paths[-1]
        sample = walk(path, wanted, budget=budget_of(path, SAMPLE), sample=is_last)
        if sample.is_conclusive:
            return sample.found, True
        if len(sample.found) / max(sample.rows, 1) > densest:
            best_path, densest = path, len(sample.found) / sample.rows
    frequency = max(sample.hits, 1) / max(sample.rows, 1)
    by_index = frequency * described.documents * (_COMPARISON if described.has_phrases else 1)
    compared = wanted.count / densest if densest else float("inf")
    if described.is_indexable and by_index <= compared * _COMPARISON:
        return find_by_words(wanted), True
    return _walk_on(best_path, wanted, described, expected=min(compared, MAX_COMPARED))


def _walk_on(path: Path, wanted: Wanted, described: _Query, *, expected: float) -> tuple[list[Found], bool]:
    """Compare the words of more documents of one path, at last of `MAX_COMPARED`."""
    rows = max(expected * 1.25, SAMPLE * 2)
    while True:
        rows = min(rows, MAX_COMPARED)
        found = walk(path, wanted, budget=budget_of(path, int(rows)))
        if found.is_conclusive:
            return found.found, True
        if rows >= MAX_COMPARED:
            break
        rows *= GROWTH
    return (find_by_words(wanted), True) if described.is_indexable else (found.found, False)


def _not_indexed(plan: Plan, wanted: Wanted, words: Words) -> tuple[list[Found], bool]:
    """Return the matches among the newest documents without words, and whether there are no other such documents."""
    where = joined([*plan.filters, *plan.bounds.conditions(wanted.order)])
    sql = _NOT_INDEXED.format(
        columns=_COLUMNS, filters=where.sql, order=wanted.order, at=MICROSECONDS.format(wanted.order)
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, (NOT_INDEXED_WALK, *where.values, NOT_INDEXED + 1, NOT_INDEXED_BYTES))
        rows = cursor.fetchall()
    walked, mine = rows[0][:2]
    read = {key: (at, without_tags(title), texts_as_json(content)) for _, _, at, key, title, content in rows if key}
    is_whole = walked < NOT_INDEXED_WALK and mine == len(read) <= NOT_INDEXED
    if not read:
        return [], is_whole
    given = [{"id": str(key), "title": title, "texts": texts} for key, (_, title, texts) in read.items()]
    return [Found(read[key][0], key, rank) for key, rank in _compare(given, words)], is_whole


def _compare(documents: Sequence[Mapping[str, str]], words: Words) -> list[tuple[UUID, float]]:
    """Return the ids and ranks of the documents with the words; each has `id`, `title` and `texts`."""
    query, language = words.sql, words.language
    values = (*query.values, json.dumps(documents), language, language, *query.values)
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE.format(query=query.sql), values)
        return cursor.fetchall()
