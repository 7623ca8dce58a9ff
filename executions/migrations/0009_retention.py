import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0008_drafts"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="oldest_sequence",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="execution",
            name="waited",
            field=models.DurationField(db_default=datetime.timedelta(0), default=datetime.timedelta),
        ),
    ]
