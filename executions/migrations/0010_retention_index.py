"""The index of logs that can be pruned, made while others write."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure drop the invalid index by hand, and run it again."""

    atomic = False

    dependencies = [
        ("executions", "0009_retention"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(
                condition=models.Q(
                    ("finished_at__isnull", False),
                    ("oldest_sequence__lt", models.F("last_sequence")),
                ),
                fields=["finished_at", "id"],
                name="execution_prunable",
            ),
        ),
    ]
