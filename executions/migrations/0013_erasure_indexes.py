from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


def add_index(model, index):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently(model, index)]


class Migration(migrations.Migration):
    """Adds the indexes of erasing while others read and write. A stopped migration can be run again."""

    atomic = False

    dependencies = [
        ("executions", "0012_erasure"),
    ]

    operations = [
        *add_index("execution", models.Index(fields=["id"], name="execution_erasing", condition=~Q(erasing=""))),
        *add_index(
            "execution",
            models.Index(
                fields=["scope", "finished_at"],
                name="execution_kept_in_scope",
                condition=Q(finished_at__isnull=False, erased_at__isnull=True),
            ),
        ),
        *add_index(
            "execution",
            models.Index(
                fields=["workflow_version", "finished_at"],
                name="execution_kept_of_version",
                condition=Q(finished_at__isnull=False, erased_at__isnull=True),
            ),
        ),
    ]
