from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

INDEX = models.Index(fields=["scope", "status"], name="execution_scope_status")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("executions", "0008_fill_inbox")]

    operations = [  # made while others write, in place of one that a stopped migration has left
        migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX.name}", migrations.RunSQL.noop),
        AddIndexConcurrently("execution", INDEX),
    ]
