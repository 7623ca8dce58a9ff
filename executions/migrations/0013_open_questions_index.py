"""The index of open questions, made while others write."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure drop the invalid index by hand, and run it again."""

    atomic = False

    dependencies = [
        ("executions", "0012_open_questions"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="executionstep",
            index=models.Index(
                condition=models.Q(("asked_at__isnull", False)),
                fields=["asked_at", "id"],
                name="step_asking",
            ),
        ),
    ]
