"""A workflow counts its publications: the current version may be an older one, and its number guards nothing then."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="publications",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.RunSQL("UPDATE workflows_workflow SET publications = version", migrations.RunSQL.noop),
    ]
