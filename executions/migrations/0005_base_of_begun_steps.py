from django.db import migrations

#: Steps that began before the column existed: every version of a person is newer.
FILL = """
UPDATE executions_executionstep SET base_version = 0
WHERE started_at IS NOT NULL AND base_version IS NULL AND status <> 'completed'"""


class Migration(migrations.Migration):
    """A step that began before the upgrade, and goes on after it, replaces no version of a person."""

    dependencies = [
        ("executions", "0004_step_base_version"),
    ]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
