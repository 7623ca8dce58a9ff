from django.db import migrations

DROP = "DROP INDEX CONCURRENTLY IF EXISTS document_version_file"
#: Of the few versions that were made from a file.
INDEX = """
CREATE INDEX CONCURRENTLY document_version_file ON documents_documentversion ((provenance -> 'file' ->> 'id'))
WHERE provenance -> 'file' ->> 'id' IS NOT NULL
"""


class Migration(migrations.Migration):
    """Finds versions by the file that they were made from. The index is made while others write."""

    atomic = False

    dependencies = [
        ("documents", "0011_erasure"),
    ]

    operations = [
        migrations.RunSQL(DROP, migrations.RunSQL.noop),
        migrations.RunSQL(INDEX, DROP),
    ]
