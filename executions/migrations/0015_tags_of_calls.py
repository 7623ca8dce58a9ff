"""Calls that were made before they had their execution's tags get them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0014_dry_runs"),
        ("telemetry", "0007_tags"),
    ]

    operations = [
        migrations.RunSQL(
            """
            UPDATE telemetry_modelcall AS call SET tags = execution.tags
            FROM executions_execution AS execution
            WHERE execution.id = call.execution_id AND execution.tags <> '[]'
            """,
            migrations.RunSQL.noop,
        ),
    ]
