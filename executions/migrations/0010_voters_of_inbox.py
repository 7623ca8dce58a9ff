from django.db import migrations, models


class Migration(migrations.Migration):
    """The inbox tells operators of documents about which too few users can vote."""

    dependencies = [
        ("executions", "0009_scope_status"),
    ]

    operations = [
        migrations.AddField("inboxentry", "barred", models.JSONField(db_default=[], default=list)),
        migrations.AddField("inboxentry", "required_votes", models.PositiveIntegerField(null=True)),
    ]
