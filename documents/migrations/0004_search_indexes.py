from importlib import import_module

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

FILL = import_module("documents.migrations.0003_fill_columns")
NEWEST = ["-updated_at", "-id"]
#: With a valid constraint, PostgreSQL sets NOT NULL without reading the table under a lock that stops all readers.
UNFILLED = "ALTER TABLE documents_document DROP CONSTRAINT IF EXISTS document_filled"
FILLED = [
    UNFILLED,
    """ALTER TABLE documents_document ADD CONSTRAINT document_filled
    CHECK (root_id IS NOT NULL AND last_version IS NOT NULL) NOT VALID""",
    "ALTER TABLE documents_document VALIDATE CONSTRAINT document_filled",
]


def add_index(model, index):
    """An index is made while others write, in place of one that a stopped migration has left."""
    drop = migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop)
    return [drop, AddIndexConcurrently(model, index)]


class Migration(migrations.Migration):
    """Adds the indexes while others read and write. A stopped migration can be run again."""

    atomic = False

    dependencies = [("documents", "0003_fill_columns")]

    operations = [
        # what processes of the version before have stored since
        migrations.RunPython(FILL.fill_heads, migrations.RunPython.noop),
        migrations.RunPython(FILL.fill_versions, migrations.RunPython.noop),
        migrations.RunSQL(FILLED, UNFILLED),
        migrations.AlterField("document", "last_version", models.PositiveIntegerField()),
        migrations.AlterField(
            "document",
            "root",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="access.scope",
            ),
        ),
        migrations.RunSQL(UNFILLED, migrations.RunSQL.noop),
        RemoveIndexConcurrently("document", "document_execution"),
        *add_index("document", models.Index(fields=["-created_at", "-id"], name="document_by_creation")),
        *add_index("document", models.Index(fields=["root", *NEWEST], name="document_of_root")),
        *add_index("document", models.Index(fields=["type", *NEWEST], name="document_of_type")),
        *add_index(
            "document",
            models.Index(fields=["workflow_id", *NEWEST], name="document_of_workflow", condition=~Q(workflow_id="")),
        ),
        *add_index(
            "document",
            models.Index(fields=["author_name", *NEWEST], name="document_of_author", condition=~Q(author_name="")),
        ),
        *add_index("document", models.Index(fields=NEWEST, name="document_stale", condition=Q(stale=True))),
        *add_index(
            "document", models.Index(fields=NEWEST, name="document_unindexed", condition=Q(search__isnull=True))
        ),
        *add_index("document", django.contrib.postgres.indexes.GinIndex(fields=["search"], name="document_search")),
        *add_index(
            "documentversion",
            models.Index(fields=["author"], name="document_version_author", condition=Q(author__isnull=False)),
        ),
        *add_index(
            "documentversion",
            models.Index(fields=["document"], name="document_version_proposed", condition=Q(proposed=True)),
        ),
    ]
