"""The text index of documents: workers fill it shortly after a document was stored.

A write of a document empties `search` of its head. Computing the words takes longer than all of that write, so it is
not part of it. Searches read the newest documents without words themselves; see `ranking`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DataError, OperationalError, connection, transaction

from common.database.errors import is_transient
from documents.search.texts import texts_as_json, without_tags

logger = logging.getLogger(__name__)

BATCH_DOCUMENTS = 100
BATCH_BYTES = 2_000_000  # of stored contents; a batch has one document at least
_LOCK = 6_028_441_973  # key of the advisory lock: one process at a time fills the index

#: Vector of a title and a JSON array of texts; `{language}` is an SQL expression.
VECTOR = """setweight(to_tsvector({language}, {title}), 'A') || json_to_tsvector({language}, {texts}, '["string"]')"""
_NEXT = """
SELECT id, version, title, content FROM (
  SELECT head.id, head.version, head.title, newest.content, row_number() OVER counted AS number,
    sum(pg_column_size(newest.content)) OVER counted AS bytes
  FROM (
    SELECT id, version, title, updated_at FROM documents_document
    WHERE search IS NULL ORDER BY updated_at DESC, id DESC LIMIT %s
  ) AS head
  JOIN documents_documentversion AS newest ON newest.document_id = head.id AND newest.version = head.version
  WINDOW counted AS (ORDER BY head.updated_at DESC, head.id DESC)
) AS batch WHERE number = 1 OR bytes <= %s
"""
#: The vectors are computed before any row is locked. A row that another transaction has locked is left for later.
_STORE = f"""
WITH given AS MATERIALIZED (
  SELECT id, version, {VECTOR.format(language="%(language)s::regconfig", title="title", texts="texts::json")} AS words
  FROM json_to_recordset(%(rows)s::json) AS row (id uuid, version integer, title text, texts text)
), locked AS MATERIALIZED (
  SELECT head.id, given.words FROM documents_document AS head JOIN given ON given.id = head.id
  WHERE head.version = given.version AND head.search IS NULL FOR NO KEY UPDATE OF head SKIP LOCKED
)
UPDATE documents_document AS head SET search = locked.words, search_language = %(language)s
FROM locked WHERE head.id = locked.id
"""  # noqa: S608 - no input in it
_ANY_WAITS = "SELECT EXISTS (SELECT FROM documents_document WHERE search IS NULL AND updated_at < %s)"
_NO_WORDS = """
UPDATE documents_document SET search = '', search_language = %s WHERE id = %s AND version = %s AND search IS NULL
"""
_EMPTY = """
WITH batch AS MATERIALIZED (
  SELECT id FROM documents_document WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
), locked AS MATERIALIZED (
  SELECT head.id FROM documents_document AS head JOIN batch ON batch.id = head.id
  WHERE head.search_language <> %(language)s AND head.search IS NOT NULL ORDER BY head.id FOR NO KEY UPDATE OF head
), emptied AS (
  UPDATE documents_document AS head SET search = NULL FROM locked WHERE head.id = locked.id
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1
"""
#: Query for the names of the text search configurations.
SELECT_LANGUAGES = "SELECT cfgname FROM pg_ts_config WHERE pg_ts_config_is_visible(oid) ORDER BY cfgname"

_Row = tuple[UUID, int, str, Any]


def languages() -> list[str]:
    """Return the text search configurations of the database, by name."""
    with connection.cursor() as cursor:
        cursor.execute(SELECT_LANGUAGES)
        return [name for (name,) in cursor.fetchall()]


def unknown_language(known: Sequence[str]) -> str:
    """Return the message for a `SEARCH_LANGUAGE` that is not among the known ones."""
    return f"SEARCH_LANGUAGE={settings.SEARCH_LANGUAGE} is no text search configuration. There are: {', '.join(known)}."


@transaction.atomic
def index_documents() -> int:
    """Index the newest documents without words, as many as one batch holds; return their number.

    It leaves out those that another transaction has locked, and returns 0 while another process does the same.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute(_NEXT, [BATCH_DOCUMENTS, BATCH_BYTES])
        rows = cursor.fetchall()
    if not rows:
        return 0
    try:
        return _store(rows)
    except (DataError, OperationalError) as error:
        if is_transient(error):
            raise
    return sum(_store_alone(row) for row in rows)


def is_any_waiting(*, before: datetime) -> bool:
    """Return whether a document that was written before this time is not indexed."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_WAITS, [before])
        return cursor.fetchone() == (True,)


def empty_other_languages(*, after: UUID, limit: int) -> UUID | None:
    """Empty the words of the next documents whose language is not `SEARCH_LANGUAGE`; workers index them again.

    Args:
        after: Id of the last document of the batch before; the nil UUID at first.
        limit: Documents to look at.

    Returns:
        The id of the last document of this batch; None after the last one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EMPTY, {"after": after, "limit": limit, "language": settings.SEARCH_LANGUAGE})
        found = cursor.fetchone()
    return None if found is None else found[0]


@transaction.atomic
def _store(rows: Sequence[_Row]) -> int:
    given = [
        {"id": str(key), "version": version, "title": without_tags(title), "texts": texts_as_json(content)}
        for key, version, title, content in rows
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, {"rows": json.dumps(given), "language": settings.SEARCH_LANGUAGE})
        return cursor.rowcount


def _store_alone(row: _Row) -> int:
    """Index one document. One that the database refuses gets no words. Return 0 if its row is locked, else 1."""
    try:
        return _store([row])
    except (DataError, OperationalError) as error:
        if is_transient(error):
            raise
        logger.exception("the document %s cannot be indexed, and search will not find it", row[0])
        with connection.cursor() as cursor:
            cursor.execute(_NO_WORDS, [settings.SEARCH_LANGUAGE, row[0], row[1]])
            return cursor.rowcount
