"""A database of version 0.9.0 gets the new columns with their values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from access.models import Scope
from access.user import User
from documents.models import Document, DocumentVersion
from documents.repository import content_hash
from documents.search import index
from tests.factories.documents import scope_of, store

pytestmark = pytest.mark.django_db(transaction=True)

OLD = [("documents", "0001_initial")]
FILLED = [("documents", "0003_fill_columns")]
#: What a process of version 0.9.0 stores: it does not know the new columns.
STORE_AS_BEFORE = """
UPDATE documents_document SET root_id = NULL, last_version = NULL;
UPDATE documents_documentversion SET content_hash = '';
CREATE INDEX document_of_root ON documents_document (root_id)"""


def migrate(target: list[tuple[str, str]] | None = None) -> None:
    """Bring the tables to a migration, by default to the newest of documents."""
    executor = MigrationExecutor(connection)
    executor.migrate(target or executor.loader.graph.leaf_nodes("documents"))


@pytest.fixture
def old_tables(transactional_db: None) -> Iterator[None]:
    yield
    migrate()


def test_the_migrations_fill_the_columns_of_documents_that_exist(
    alice: User, old_tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = scope_of(alice)
    child = Scope.objects.create(parent=root, root=root, type="epic", key="one")
    store(root, type="by a person", content={"text": "Größe \ud800", "zeta": 1}, author_name="ann")
    made = store(child, provenance={"workflow_id": "old"}, content={"text": "first"})
    store(child, version=2, provenance={"workflow_id": "concept"}, content={"text": "second"})
    index.index_documents()
    migrate([("documents", "0007_picture_size")])
    migrate()
    assert set(Document.objects.values_list("type", "by_person")) == {("by a person", 1), ("plan", 0)}
    migrate(OLD)
    fill = MigrationExecutor(connection).loader.get_migration("documents", "0003_fill_columns")
    for name in ("HEADS", "VERSIONS"):  # several batches
        monkeypatch.setattr(f"{type(fill).__module__}.{name}", 1)
    migrate()
    values = ("type", "root_id", "workflow_id", "author_name", "last_version", "stale", "search")
    assert list(Document.objects.order_by("type").values_list(*values)) == [
        ("by a person", root.id, "", "", 1, False, None),
        ("plan", root.id, "concept", "", 2, False, None),
    ]
    for version in DocumentVersion.objects.all():
        assert version.content_hash == content_hash(version.content)
    assert index.index_documents() == 2
    assert Document.objects.filter(id=made, search="second").exists()


def test_a_stopped_migration_goes_on_with_what_was_stored_meanwhile(alice: User, old_tables: None) -> None:
    root = scope_of(alice)
    store(root, type="plan")
    migrate(FILLED)
    with connection.cursor() as cursor:
        cursor.execute(STORE_AS_BEFORE)  # and as if the creation of the index had been stopped
    migrate()
    assert Document.objects.values_list("root_id", "last_version").get() == (root.id, 1)
    version = DocumentVersion.objects.get()
    assert version.content_hash == content_hash(version.content)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'document_of_root'")
        assert "(root_id, updated_at DESC, id DESC)" in cursor.fetchone()[0]
