from django.db import migrations, models

#: Notes the quarter of a call, and all later ones of its execution if the call appears, disappears or moves to another
#: group: blocks say when an execution was active before.
FUNCTIONS = """
CREATE FUNCTION telemetry_note_quarters(changed uuid, at timestamptz, moves boolean) RETURNS void LANGUAGE sql AS $$
  INSERT INTO telemetry_changedquarter (start, xid)
  SELECT DISTINCT date_bin('15 minutes', moment, '2000-01-01 00:00+00'), pg_current_xact_id()::text::bigint
  FROM (
    SELECT at UNION ALL
    SELECT started_at FROM telemetry_modelcall WHERE moves AND execution_id = changed AND started_at > at
  ) AS one (moment)
  ON CONFLICT DO NOTHING
$$;
CREATE FUNCTION telemetry_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  moves boolean := true;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    moves := (
      OLD.execution_id, OLD.started_at, OLD.provider, OLD.model, OLD.workflow_id, OLD.step_id, OLD.kind, OLD.scope_id,
      OLD.user_id, OLD.tags, OLD.dry_run
    ) IS DISTINCT FROM (
      NEW.execution_id, NEW.started_at, NEW.provider, NEW.model, NEW.workflow_id, NEW.step_id, NEW.kind, NEW.scope_id,
      NEW.user_id, NEW.tags, NEW.dry_run
    );
  END IF;
  IF TG_OP <> 'INSERT' THEN
    PERFORM telemetry_note_quarters(OLD.execution_id, OLD.started_at, moves);
  END IF;
  IF TG_OP <> 'DELETE' AND moves THEN
    PERFORM telemetry_note_quarters(NEW.execution_id, NEW.started_at, true);
  END IF;
  RETURN NULL;
END;
$$
"""
#: The time of the statement, not of the transaction: see `rollups.seal`. A usual write costs the comparison alone.
TRIGGERS = """
CREATE TRIGGER telemetry_note_insert AFTER INSERT ON telemetry_modelcall FOR EACH ROW
WHEN (NEW.started_at < clock_timestamp() - interval '10 minutes') EXECUTE FUNCTION telemetry_note_change();
CREATE TRIGGER telemetry_note_update AFTER UPDATE ON telemetry_modelcall FOR EACH ROW
WHEN (least(OLD.started_at, NEW.started_at) < clock_timestamp() - interval '10 minutes')
EXECUTE FUNCTION telemetry_note_change();
CREATE TRIGGER telemetry_note_delete AFTER DELETE ON telemetry_modelcall FOR EACH ROW
WHEN (OLD.started_at < clock_timestamp() - interval '10 minutes') EXECUTE FUNCTION telemetry_note_change()
"""
WITHOUT_TRIGGERS = """
DROP TRIGGER IF EXISTS telemetry_note_insert ON telemetry_modelcall;
DROP TRIGGER IF EXISTS telemetry_note_update ON telemetry_modelcall;
DROP TRIGGER IF EXISTS telemetry_note_delete ON telemetry_modelcall
"""
WITHOUT_FUNCTIONS = """
DROP FUNCTION telemetry_note_change();
DROP FUNCTION telemetry_note_quarters(uuid, timestamptz, boolean)
"""


SUMS = [
    *("calls", "input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens"),
    *("reasoning_tokens", "known_cost_usd", "unpriced_calls", "pending_calls", "latency_ms", "timed_calls"),
]


class Migration(migrations.Migration):
    """Adds empty tables and triggers: no row of the ledger is read. Workers fill the tables in batches."""

    dependencies = [
        ("telemetry", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="RollupState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sealed_until", models.DateTimeField(null=True)),
                ("settled_until", models.DateTimeField(null=True)),
                ("horizon_xid", models.BigIntegerField(null=True)),
                ("horizon_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="BusyScope",
            fields=[
                ("scope_id", models.UUIDField(primary_key=True, serialize=False)),
                ("since", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ChangedQuarter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("start", models.DateTimeField()),
                ("xid", models.BigIntegerField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("start", "xid"), name="changed_quarter_once")],
            },
        ),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("level", models.PositiveSmallIntegerField()),
                ("start", models.DateTimeField()),
                ("cut", models.CharField(max_length=20)),
                ("key", models.TextField()),
                ("subkey", models.TextField()),
                ("scope_id", models.UUIDField(null=True)),
                ("dry_run", models.BooleanField()),
                ("previous", models.DateTimeField(null=True)),
                ("executions", models.PositiveBigIntegerField()),
                ("calls", models.PositiveBigIntegerField()),
                ("input_tokens", models.PositiveBigIntegerField()),
                ("cache_read_input_tokens", models.PositiveBigIntegerField()),
                ("cache_write_input_tokens", models.PositiveBigIntegerField()),
                ("output_tokens", models.PositiveBigIntegerField()),
                ("reasoning_tokens", models.PositiveBigIntegerField()),
                ("known_cost_usd", models.DecimalField(decimal_places=10, max_digits=30)),
                ("unpriced_calls", models.PositiveBigIntegerField()),
                ("pending_calls", models.PositiveBigIntegerField()),
                ("latency_ms", models.PositiveBigIntegerField()),
                ("timed_calls", models.PositiveBigIntegerField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["cut", "level", "start"],
                        include=["key", "subkey", "dry_run", "previous", "executions", *SUMS],
                        name="rollup_of_all",
                        condition=models.Q(scope_id__isnull=True),
                    ),
                    models.Index(
                        fields=["cut", "level", "scope_id", "start"],
                        name="rollup_of_scope",
                        condition=models.Q(scope_id__isnull=False),
                    ),
                    models.Index(fields=["level", "start"], name="rollup_of_block"),
                ],
            },
        ),
        migrations.RunSQL(FUNCTIONS, WITHOUT_FUNCTIONS),
        migrations.RunSQL(TRIGGERS, WITHOUT_TRIGGERS),
    ]
