from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds columns without a rewrite of the table: one is NULL, the other has a constant default."""

    dependencies = [
        ("executions", "0011_workflow_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="erased_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="execution",
            name="erasing",
            field=models.CharField(
                blank=True,
                choices=[("contents", "Contents"), ("all", "All")],
                db_default="",
                default="",
                max_length=10,
            ),
        ),
    ]
