from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


def add_index(model, index):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently(model, index)]


class Migration(migrations.Migration):
    """Adds the indexes of statistics of workflows while others read and write. A stopped migration can be run again."""

    atomic = False

    dependencies = [
        ("executions", "0010_voters_of_inbox"),
    ]

    operations = [
        *add_index(
            "execution",
            models.Index(
                fields=["workflow_id", "-created_at", "-id"],
                include=["status", "scope"],
                name="execution_of_workflow",
                condition=Q(script__isnull=True),
            ),
        ),
        *add_index(
            "execution",
            models.Index(
                fields=["workflow_id", "scope", "status"], name="execution_outcome", condition=Q(script__isnull=True)
            ),
        ),
    ]
