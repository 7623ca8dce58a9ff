"""Indexes of executions that a step does not change, made while others write."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure drop the invalid index by hand, and run it again."""

    atomic = False

    dependencies = [
        ("executions", "0016_pruned"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("status__in", ["pending", "running"])), fields=["id"], name="execution_open"
            ),
        ),
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False), ("pruned", False)),
                fields=["finished_at", "id"],
                name="execution_to_prune",
            ),
        ),
        RemoveIndexConcurrently(model_name="execution", name="execution_runnable"),
        RemoveIndexConcurrently(model_name="execution", name="execution_prunable"),
    ]
