from django.db import migrations, models

#: By the index of authors: few documents have one.
FILL = "UPDATE documents_document SET by_person = version WHERE author_name <> '' AND by_person = 0"


class Migration(migrations.Migration):
    """Adds a column with a default, which rewrites no row."""

    dependencies = [
        ("documents", "0007_picture_size"),
    ]

    operations = [
        migrations.AddField(
            model_name="document",
            name="by_person",
            field=models.PositiveIntegerField(db_default=0),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
