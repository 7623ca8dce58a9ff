"""When the open questions of a step were put, also for those that wait already."""

from django.db import migrations, models

_OPEN = """
UPDATE executions_executionstep SET asked_at = (rounds -> -1 ->> 'asked_at')::timestamptz
WHERE status = 'waiting' AND resume_at IS NULL AND jsonb_array_length(rounds) > 0
  AND rounds -> -1 ->> 'answered_at' IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0011_budgets"),
    ]

    operations = [
        migrations.AddField(
            model_name="executionstep",
            name="asked_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(_OPEN, migrations.RunSQL.noop),
    ]
