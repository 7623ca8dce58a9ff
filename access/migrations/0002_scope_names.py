from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


def add_index(model, index):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently(model, index)]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("access", "0001_initial")]

    operations = [
        *add_index("scope", models.Index(fields=["type", "key"], name="scope_by_type_and_key")),
        *add_index("scope", models.Index(fields=["key"], name="scope_by_key")),
    ]
