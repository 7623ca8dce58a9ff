from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

BATCH = 2_000  # executions in one transaction

#: The next executions. The locks have a simultaneous change of tags wait until its trigger sees these rows.
FILL = """
WITH batch AS (
  SELECT id, created_at, tags FROM executions_execution WHERE id > %s ORDER BY id LIMIT %s
), tagged AS (
  SELECT execution.id, execution.created_at, execution.tags
  FROM executions_execution AS execution JOIN batch ON batch.id = execution.id WHERE batch.tags <> '[]'
  ORDER BY execution.id FOR SHARE OF execution
), filled AS (
  INSERT INTO executions_executiontag (tag, created_at, execution_id)
  SELECT DISTINCT tag, tagged.created_at, tagged.id FROM tagged, jsonb_array_elements_text(tagged.tags) AS tag
  ON CONFLICT DO NOTHING
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1
"""
REAL, DRY = Q(script__isnull=True), Q(script__isnull=False)
NEWEST_LAST = ["created_at", "id"]


def fill_tags(apps, schema_editor):
    last = "00000000-0000-0000-0000-000000000000"
    while last is not None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FILL, [last, BATCH])
            found = cursor.fetchone()
        last = found[0] if found else None


def add_index(name, fields, **options):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently("execution", models.Index(fields=fields, name=name, **options))]


def add_index_of_waits(what):
    return add_index(f"execution_waits_{what}", ["status", *NEWEST_LAST], condition=Q(waiting_on__contains=[what]))


class Migration(migrations.Migration):
    """Fills the tags in batches, and changes indexes while others read and write. If stopped, it can be run again.

    An execution without a dry run's script is in as many indexes as before.
    """

    atomic = False

    dependencies = [
        ("executions", "0015_tags"),
    ]

    operations = [
        migrations.RunPython(fill_tags, migrations.RunPython.noop),
        *add_index("execution_in_scope", ["scope", "status", *NEWEST_LAST]),
        *add_index("execution_dry_in_scope", ["scope", "status", *NEWEST_LAST], condition=DRY),
        *add_index("execution_of_status", ["status", *NEWEST_LAST], condition=REAL),
        *add_index("execution_dry_of_status", ["status", *NEWEST_LAST], condition=DRY),
        *add_index(
            "execution_workflow_status", ["workflow_id", "status", *NEWEST_LAST], include=["scope"], condition=REAL
        ),
        *add_index("execution_dry_of_workflow", ["workflow_id", "status", *NEWEST_LAST], condition=DRY),
        *add_index_of_waits("clarification"),
        *add_index_of_waits("acceptance"),
        *add_index_of_waits("budget"),
        *add_index_of_waits("rate_limit"),
        RemoveIndexConcurrently("execution", "execution_scope"),
        RemoveIndexConcurrently("execution", "execution_scope_status"),
        RemoveIndexConcurrently("execution", "execution_of_workflow"),
    ]
