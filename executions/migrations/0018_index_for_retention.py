"""An index for retention that no step changes, made while others write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure drop the invalid index by hand, and run it again."""

    atomic = False

    dependencies = [
        ("executions", "0017_index_for_the_sweep"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False), ("pruned", False)),
                fields=["finished_at", "id"],
                name="execution_to_prune",
            ),
        ),
    ]
