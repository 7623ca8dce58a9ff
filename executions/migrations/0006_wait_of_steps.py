from django.db import migrations, models


class Migration(migrations.Migration):
    """A step that waits for people has assignees, approvers and a due date. The column is added without a rewrite."""

    dependencies = [
        ("executions", "0005_base_of_begun_steps"),
    ]

    operations = [migrations.AddField("executionstep", "wait", models.JSONField(null=True))]
