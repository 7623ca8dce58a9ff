"""Whose turn it is: `jobs` asks for the last job in the queue of a scope."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    """An index on Procrastinate's table, of jobs that wait."""

    dependencies = [
        ("executions", "0005_acceptance"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX executions_job_scope ON procrastinate_jobs ((args ->> 'scope'), priority) WHERE status = 'todo'",
            "DROP INDEX executions_job_scope",
        ),
    ]
