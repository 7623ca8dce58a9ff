import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0010_end_sessions"),
        ("executions", "0013_erasure_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScopeRetention",
            fields=[
                (
                    "scope",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="access.scope",
                    ),
                ),
                ("days", models.PositiveIntegerField()),
                ("version", models.PositiveIntegerField(default=1)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("days__gt", 0)), name="scope_retention_is_positive")
                ],
            },
        ),
    ]
