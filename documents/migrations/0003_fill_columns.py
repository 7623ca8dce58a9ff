import hashlib
import json

from django.db import migrations

HEADS = 5_000  # in one transaction
VERSIONS = 500  # in one transaction; their contents are in memory

#: The next heads without the new values. A stopped migration goes on where it was.
FILL_HEADS = """
WITH batch AS (
  SELECT id FROM documents_document WHERE id > %s ORDER BY id LIMIT %s
), filled AS (
  UPDATE documents_document AS head
  SET root_id = coalesce(scope.root_id, scope.id), last_version = head.version,
    workflow_id = coalesce(newest.provenance ->> 'workflow_id', '')
  FROM batch, access_scope AS scope, documents_documentversion AS newest
  WHERE head.id = batch.id AND head.root_id IS NULL AND scope.id = head.scope_id
    AND newest.document_id = head.id AND newest.version = head.version
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1
"""
NEXT_VERSIONS = """
SELECT id, content FROM documents_documentversion WHERE id > %s AND content_hash = '' ORDER BY id LIMIT %s
"""
FILL_VERSIONS = """
UPDATE documents_documentversion AS version SET content_hash = filled.hash
FROM unnest(%s::bigint[], %s::text[]) AS filled (id, hash) WHERE version.id = filled.id
"""


def content_hash(content):
    """SHA-256 of the canonical JSON, as the product computes it for new versions."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def fill_heads(apps, schema_editor):
    last = "00000000-0000-0000-0000-000000000000"
    while last is not None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FILL_HEADS, [last, HEADS])
            found = cursor.fetchone()
        last = found[0] if found else None


def fill_versions(apps, schema_editor):
    last = 0
    while True:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(NEXT_VERSIONS, [last, VERSIONS])
            rows = cursor.fetchall()
            if not rows:
                return
            hashes = [content_hash(content) for _, content in rows]
            cursor.execute(FILL_VERSIONS, [[each for each, _ in rows], hashes])
            last = rows[-1][0]


class Migration(migrations.Migration):
    """Fills the new columns in batches, each of which is stored at once. Workers index the texts later."""

    atomic = False

    dependencies = [("documents", "0002_search_columns")]

    operations = [
        migrations.RunPython(fill_heads, migrations.RunPython.noop),
        migrations.RunPython(fill_versions, migrations.RunPython.noop),
    ]
