"""Whether a file is an encrypted PDF."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("documents", "0008_by_person"),
    ]

    operations = [
        migrations.AddField(
            model_name="file",
            name="encrypted",
            field=models.BooleanField(default=False, db_default=False),
        ),
    ]
