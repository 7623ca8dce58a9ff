import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

#: Valid for all rows that exist; the constraint is checked while others write.
NUMBERED = [
    "ALTER TABLE executions_executionevent DROP CONSTRAINT IF EXISTS event_sequence_with_execution",
    """ALTER TABLE executions_executionevent ADD CONSTRAINT event_sequence_with_execution CHECK (
      (execution_id IS NULL AND sequence = 0) OR (execution_id IS NOT NULL AND sequence > 0)
    ) NOT VALID""",
    "ALTER TABLE executions_executionevent VALIDATE CONSTRAINT event_sequence_with_execution",
]


def add_index(model, index):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently(model, index)]


class Migration(migrations.Migration):
    """Lets events be in feeds alone, while others read and write. A stopped migration can be run again."""

    atomic = False

    dependencies = [
        ("executions", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="executionevent",
            name="execution",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="events",
                to="executions.execution",
            ),
        ),
        *add_index(
            "executionevent",
            models.Index(condition=Q(execution__isnull=True), fields=["timestamp"], name="event_of_feed"),
        ),
        migrations.RunSQL(
            NUMBERED,
            NUMBERED[0],
            state_operations=[
                migrations.AddConstraint(
                    "executionevent",
                    models.CheckConstraint(
                        condition=Q(execution__isnull=True, sequence=0) | Q(execution__isnull=False, sequence__gt=0),
                        name="event_sequence_with_execution",
                    ),
                )
            ],
        ),
    ]
