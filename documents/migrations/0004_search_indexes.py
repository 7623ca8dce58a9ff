import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

NEWEST = ["-updated_at", "-id"]


class Migration(migrations.Migration):
    dependencies = [("documents", "0003_fill_columns")]

    operations = [
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
        migrations.RemoveIndex("document", "document_execution"),
        migrations.AddIndex("document", models.Index(fields=["-created_at", "-id"], name="document_by_creation")),
        migrations.AddIndex("document", models.Index(fields=["root", *NEWEST], name="document_of_root")),
        migrations.AddIndex("document", models.Index(fields=["type", *NEWEST], name="document_of_type")),
        migrations.AddIndex(
            "document",
            models.Index(fields=["workflow_id", *NEWEST], name="document_of_workflow", condition=~Q(workflow_id="")),
        ),
        migrations.AddIndex(
            "document",
            models.Index(fields=["author_name", *NEWEST], name="document_of_author", condition=~Q(author_name="")),
        ),
        migrations.AddIndex("document", models.Index(fields=NEWEST, name="document_stale", condition=Q(stale=True))),
        migrations.AddIndex(
            "document", models.Index(fields=NEWEST, name="document_unindexed", condition=Q(search__isnull=True))
        ),
        migrations.AddIndex(
            "document", django.contrib.postgres.indexes.GinIndex(fields=["search"], name="document_search")
        ),
        migrations.AddIndex(
            "documentversion",
            models.Index(fields=["author"], name="document_version_author", condition=Q(author__isnull=False)),
        ),
        migrations.AddIndex(
            "documentversion",
            models.Index(fields=["document"], name="document_version_proposed", condition=Q(proposed=True)),
        ),
    ]
