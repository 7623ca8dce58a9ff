from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds columns that are NULL, without a rewrite of the tables."""

    dependencies = [
        ("documents", "0010_files_of_limited_tokens"),
    ]

    operations = [
        migrations.AddField(
            model_name="document",
            name="erased_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="erased_at",
            field=models.DateTimeField(null=True),
        ),
    ]
