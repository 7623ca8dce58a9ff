"""Feeds of scopes: their events are numbered as well, those that are there in the order in which they were stored."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

_NUMBER = """
UPDATE executions_executionevent AS event SET scope_id = numbered.scope_id, scope_sequence = numbered.place
FROM (
  SELECT told.id, execution.scope_id, row_number() OVER (PARTITION BY execution.scope_id ORDER BY told.id) AS place
  FROM executions_executionevent AS told
  JOIN executions_execution AS execution ON execution.id = told.execution_id
) AS numbered
WHERE numbered.id = event.id
"""
_COUNT = """
INSERT INTO executions_feed (scope_id, last)
SELECT scope_id, max(scope_sequence) FROM executions_executionevent GROUP BY scope_id
"""


class Migration(migrations.Migration):
    """Two columns for events, and how far each scope has counted."""

    dependencies = [
        ("access", "0001_initial"),
        ("executions", "0006_turns"),
    ]

    operations = [
        migrations.CreateModel(
            name="Feed",
            fields=[
                (
                    "scope",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="access.scope",
                    ),
                ),
                ("last", models.PositiveBigIntegerField()),
            ],
        ),
        migrations.AddField("executionevent", "scope_id", models.UUIDField(null=True)),
        migrations.AddField("executionevent", "scope_sequence", models.PositiveBigIntegerField(null=True)),
        migrations.RunSQL([_NUMBER, _COUNT, "SET CONSTRAINTS ALL IMMEDIATE"], migrations.RunSQL.noop),
        migrations.AlterField("executionevent", "scope_id", models.UUIDField()),
        migrations.AlterField("executionevent", "scope_sequence", models.PositiveBigIntegerField()),
        migrations.AddConstraint(
            "executionevent",
            models.UniqueConstraint(fields=["scope_id", "scope_sequence"], name="event_once_per_scope_sequence"),
        ),
    ]
