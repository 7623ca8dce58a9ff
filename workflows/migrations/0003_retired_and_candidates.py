from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workflows", "0002_house_file")]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="retired_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="workflowversion",
            name="is_candidate",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RemoveConstraint(model_name="workflowversion", name="workflow_content_once"),
        migrations.AddConstraint(
            model_name="workflowversion",
            constraint=models.UniqueConstraint(
                fields=("workflow", "content_hash", "is_candidate"), name="workflow_content_once"
            ),
        ),
    ]
