from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds a column with a constant default, without a rewrite of the table."""

    dependencies = [
        ("executions", "0018_file_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="brief_hash",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
