"""What was pruned is noted by itself."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0015_tags_of_calls"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="pruned",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
