from django.db import migrations

#: Workers seal all blocks again, now with hours of workflows. Sums are exact meanwhile, and take longer.
UNSEAL = """
TRUNCATE telemetry_rollup, telemetry_busyscope, telemetry_changedquarter;
UPDATE telemetry_rollupstate SET sealed_until = NULL
"""


class Migration(migrations.Migration):
    """Forgets the rollups of a version before, which lack the hours of workflows."""

    dependencies = [
        ("telemetry", "0003_erasure"),
    ]

    operations = [
        migrations.RunSQL(UNSEAL, migrations.RunSQL.noop),
    ]
