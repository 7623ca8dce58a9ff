"""The table of drafts is unlogged, and so was the sequence of its ids: a replica that takes over could not read that."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("executions", "0023_plans_of_taking_jobs")]

    operations = [
        migrations.RunSQL("ALTER SEQUENCE executions_stepdraft_id_seq SET LOGGED", migrations.RunSQL.noop),
    ]
