from django.db import migrations

DROP = "DROP INDEX CONCURRENTLY IF EXISTS {}"
#: Of the few executions with a file in the brief, and of the few steps that have asked for one.
OF_BRIEFS = """
CREATE INDEX CONCURRENTLY execution_files ON executions_execution USING gin (access_ids_in(input::text))
WHERE strpos(input::text, '"files"') > 0
"""
OF_ANSWERS = """
CREATE INDEX CONCURRENTLY step_files ON executions_executionstep USING gin (access_ids_in(rounds::text))
WHERE rounds @> '[{"questions": [{"answer_type": "file"}]}]'
"""


class Migration(migrations.Migration):
    """Finds executions by the files in them. The indexes are made while others write; if stopped, it can be run again."""

    atomic = False

    dependencies = [
        ("access", "0011_ids_in_answers"),
        ("executions", "0017_removed_retention"),
    ]

    operations = [
        migrations.RunSQL(DROP.format("execution_files"), migrations.RunSQL.noop),
        migrations.RunSQL(OF_BRIEFS, DROP.format("execution_files")),
        migrations.RunSQL(DROP.format("step_files"), migrations.RunSQL.noop),
        migrations.RunSQL(OF_ANSWERS, DROP.format("step_files")),
    ]
