from django.db import migrations, models

#: Columns that sums and their keys are made from. A write of other columns, as when texts are erased, changes no sum.
SUMMED = (
    "execution_id, step_id, kind, workflow_id, scope_id, user_id, dry_run, tags, provider, model, status, started_at, "
    "cost_usd, estimated_cost_usd, latency_ms, input_tokens, cache_read_input_tokens, cache_write_input_tokens, "
    "output_tokens, reasoning_tokens"
)
TRIGGER = """
CREATE OR REPLACE TRIGGER telemetry_note_update AFTER UPDATE {of} ON telemetry_modelcall FOR EACH ROW
WHEN (least(OLD.started_at, NEW.started_at) < clock_timestamp() - interval '10 minutes')
EXECUTE FUNCTION telemetry_note_change()
"""


class Migration(migrations.Migration):
    """Adds a column that is NULL, without a rewrite of the table, and replaces a trigger."""

    dependencies = [
        ("telemetry", "0002_rollups"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelcall",
            name="erased_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(TRIGGER.format(of=f"OF {SUMMED}"), TRIGGER.format(of="")),
    ]
