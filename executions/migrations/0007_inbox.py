import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The inbox has one entry for each thing that waits for people."""

    dependencies = [
        ("executions", "0006_wait_of_steps"),
    ]

    operations = [
        migrations.CreateModel(
            name="InboxEntry",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("step_id", models.CharField(blank=True, max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("question", "Question"),
                            ("acceptance", "Acceptance"),
                            ("budget", "Budget"),
                            ("failure", "Failure"),
                        ],
                        max_length=20,
                    ),
                ),
                ("root_id", models.UUIDField()),
                ("workflow_id", models.CharField(max_length=63)),
                ("dry_run", models.BooleanField()),
                ("since", models.DateTimeField()),
                ("due_at", models.DateTimeField(null=True)),
                ("assignees", models.JSONField(default=list)),
                ("only_assignees", models.BooleanField(default=False)),
                ("excluded", models.JSONField(default=list)),
                (
                    "execution",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="executions.execution",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("execution", "kind", "step_id"), name="inbox_once_per_wait")
                ],
                "indexes": [
                    models.Index(fields=["since", "id"], name="inbox_oldest"),
                    models.Index(fields=["kind", "since", "id"], name="inbox_oldest_of_kind"),
                    models.Index(fields=["root_id", "kind", "since", "id"], name="inbox_of_root"),
                ],
            },
        ),
    ]
