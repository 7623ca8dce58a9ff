"""An index of the executions that wait, made while others write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure drop the invalid index by hand, and run it again."""

    atomic = False

    dependencies = [
        ("executions", "0019_without_the_indexes_before"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(condition=models.Q(("status", "waiting")), fields=["id"], name="execution_waiting"),
        ),
    ]
