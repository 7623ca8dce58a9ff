"""Fills the tables with documents of 4 kB that share 1,000 texts: python -m … DOCUMENTS."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from access.services import ensure_user
from common.database.connections import without_time_limit
from documents.repository import content_hash
from documents.search.index import VECTOR
from documents.search.texts import texts_as_json

TEXTS = 1_000
TEXT_BYTES = 4_000
TYPES = 100  # documents of a scope
WORKFLOWS = 10
AUTHORS = 10
FEW_SCOPES = 1  # that the user `few` sees

VOCABULARY = 20_000
FREQUENT, COMMON, RARE = "frequent", "common", "rare"  # words in all texts but every fourth, in one of 20, in one text

_SCOPES = """
INSERT INTO access_scope (id, type, key, created_at)
SELECT gen_random_uuid(), 'project', 'p' || number, now() FROM generate_series(0, %s) AS number;
"""
_ROLES = """
INSERT INTO access_scoperole (scope_id, user_id, role, created_at)
SELECT id, %s, 'viewer', now() FROM access_scope ORDER BY length(key), key OFFSET 17 LIMIT %s
"""
_TEXTS = """
CREATE TABLE bench_text AS SELECT number, content::json AS content, hash, {vector} AS words
FROM json_to_recordset(%s::json) AS given (number integer, content text, texts text, hash text)
"""
#: Parameters: the first and the last number, and the number of scopes.
_HEADS = f"""
INSERT INTO documents_document (
  id, scope_id, root_id, type, title, status, version, last_version, execution_id, workflow_id, author_name, stale,
  created_at, updated_at, search, search_language
)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, scope.id, scope.id,
  't' || n / scopes.number, 'Report ' || n, 'current', 1, 1,
  ('00000000-0000-7000-8001-' || lpad((n / 10)::text, 12, '0'))::uuid,
  CASE WHEN n %% 20 = 0 THEN '' ELSE 'w' || n %% {WORKFLOWS} END,
  CASE WHEN n %% 20 = 0 THEN 'person' || n / 20 %% {AUTHORS} ELSE '' END, n %% 50 = 0,
  timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second',
  setweight(to_tsvector('simple', 'Report ' || n), 'A') || text.words, 'simple'
FROM (VALUES (%s::integer, %s::integer, %s::integer)) AS scopes (first, last, number)
CROSS JOIN generate_series(scopes.first, scopes.last) AS n
JOIN bench_text AS text ON text.number = (n * 7 + n / {TEXTS}) %% {TEXTS}
JOIN (SELECT id, substr(key, 2)::integer AS number FROM access_scope) AS scope ON scope.number = n %% scopes.number
"""
_VERSIONS = f"""
INSERT INTO documents_documentversion (
  document_id, version, title, content, content_hash, schema_id, execution_id, step_id, provenance, author_name,
  created_at
)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, 'Report ' || n, text.content, text.hash, '0',
  ('00000000-0000-7000-8001-' || lpad((n / 10)::text, 12, '0'))::uuid, 's0',
  '{{"role": "Writer", "model": "scripted/writer", "attempt": 1, "inputs": [], "answers": []}}', '',
  timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(%s::integer, %s::integer) AS n
JOIN bench_text AS text ON text.number = (n * 7 + n / {TEXTS}) %% {TEXTS}
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('documents_document'::regclass, 'documents_documentversion'::regclass) AND NOT indisunique
"""
_BATCH = 100_000


def texts() -> Iterator[dict[str, object]]:
    """Yield the texts, with words whose frequencies fall as those of a language do."""
    numbers = random.Random(1)  # noqa: S311 - the same words in every run
    words = ["".join(numbers.choices("abcdefghijklmnoprstuvw", k=3 + rank % 7)) for rank in range(VOCABULARY)]
    weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
    for number in range(TEXTS):
        chosen = numbers.choices(words, weights, k=TEXT_BYTES // 6)
        chosen[50:50] = [FREQUENT] * (number % 4 != 0) + [COMMON] * (number % 20 == 0) + [RARE] * (number == 7)
        content = {"title": "Report", "text": " ".join(chosen)[:TEXT_BYTES]}
        yield {
            "number": number,
            "content": json.dumps(content),
            "texts": texts_as_json(content),
            "hash": content_hash(content),
        }


@contextmanager
def without_indexes() -> Iterator[None]:
    """Drop the indexes and the checks of foreign keys within the block: single insertions would take longer."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute(_INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    yield
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)


def fill(documents: int) -> None:
    """Create scopes, two users and documents."""
    ensure_user(name="all", superuser=True)
    few = ensure_user(name="few")
    with connection.cursor() as cursor:
        cursor.execute(_SCOPES, [documents // TYPES - 1])
        cursor.execute(_ROLES, [few.pk, FEW_SCOPES])
        cursor.execute("INSERT INTO documents_schema (hash, content) VALUES ('0', '{}')")
        vector = VECTOR.format(language="'simple'", title="''", texts="texts::json")
        cursor.execute(_TEXTS.format(vector=vector), [json.dumps([*texts()])])
    with without_indexes(), connection.cursor() as cursor:
        for first in range(0, documents, _BATCH):
            last = min(first + _BATCH, documents) - 1
            cursor.execute(_HEADS, [first, last, documents // TYPES])
            cursor.execute(_VERSIONS, [first, last])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    with without_time_limit():
        fill(int(sys.argv[1]))
