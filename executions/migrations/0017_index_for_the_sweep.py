"""An index for the sweep that no step changes, made while others write."""

from django.contrib.postgres.operations import AddIndexConcurrently
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
    ]
