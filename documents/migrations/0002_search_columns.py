import django.contrib.postgres.search
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns for search, lists and edits. The next migration fills them, and the one after it adds the indexes."""

    dependencies = [
        ("access", "0001_initial"),
        ("documents", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "document",
            "root",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="access.scope",
            ),
        ),
        migrations.AddField("document", "last_version", models.PositiveIntegerField(null=True)),
        migrations.AddField("document", "workflow_id", models.CharField(blank=True, db_default="", max_length=63)),
        migrations.AddField("document", "author_name", models.CharField(blank=True, db_default="", max_length=150)),
        migrations.AddField("document", "stale", models.BooleanField(db_default=False)),
        migrations.AddField(
            "document", "search", django.contrib.postgres.search.SearchVectorField(editable=False, null=True)
        ),
        migrations.AddField(
            "document", "search_language", models.CharField(blank=True, db_default="", editable=False, max_length=63)
        ),
        # Words do not get smaller by compression.
        migrations.RunSQL(
            "ALTER TABLE documents_document ALTER COLUMN search SET STORAGE EXTERNAL", migrations.RunSQL.noop
        ),
        migrations.AddField("documentversion", "content_hash", models.CharField(db_default="", max_length=64)),
        migrations.AddField(
            "documentversion",
            "author",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            "documentversion", "author_name", models.CharField(blank=True, db_default="", max_length=150)
        ),
        migrations.AddField("documentversion", "note", models.TextField(blank=True, db_default="")),
        migrations.AddField("documentversion", "base_version", models.PositiveIntegerField(null=True)),
        migrations.AddField("documentversion", "proposed", models.BooleanField(db_default=False)),
    ]
