from django.db import migrations

#: Workers seal all blocks again, now with hours of workflows. Sums are exact meanwhile, and take longer. The tables are
#: locked in the order in which a summary reads them.
UNSEAL = """
TRUNCATE telemetry_changedquarter, telemetry_busyscope, telemetry_rollup;
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
