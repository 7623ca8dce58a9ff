import django.db.models.deletion
from django.db import migrations, models

import common.database.json_field


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Workflow",
            fields=[
                ("id", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120)),
                ("description", models.TextField()),
                ("step_count", models.PositiveIntegerField()),
                ("version", models.PositiveIntegerField()),
                ("publications", models.PositiveIntegerField(db_default=1, default=1)),
                ("updated_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="WorkflowVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField()),
                ("definition", common.database.json_field.JsonTextField()),
                ("content_hash", models.CharField(max_length=64)),
                ("published_at", models.DateTimeField()),
                (
                    "workflow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="workflows.workflow",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("workflow", "version"), name="workflow_version_once"),
                    models.UniqueConstraint(fields=("workflow", "content_hash"), name="workflow_content_once"),
                ],
            },
        ),
    ]
