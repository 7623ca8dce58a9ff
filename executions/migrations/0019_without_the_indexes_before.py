"""Without the indexes that every step had to enter its execution into."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    """It runs without a transaction: after a failure run it again."""

    atomic = False

    dependencies = [
        ("executions", "0018_index_for_retention"),
    ]

    operations = [
        RemoveIndexConcurrently(model_name="execution", name="execution_runnable"),
        RemoveIndexConcurrently(model_name="execution", name="execution_prunable"),
    ]
