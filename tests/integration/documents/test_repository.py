"""Document versions: consecutive, immutable, and none is lost between two writers."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from access.models import Scope
from access.user import User
from documents import repository
from documents.models import Document, DocumentVersion, Schema
from documents.repository import StaleVersion
from tests.factories.documents import NOW, SCHEMA, paper, scope_of, store
from tests.support.two_connections import DEADLINE_SECONDS, blocked, elsewhere

pytestmark = pytest.mark.django_db


def test_a_document_comes_back_as_it_was_saved(alice: User) -> None:
    saved = paper(
        scope_of(alice),
        content={"zeta": 1, "title": "The plan", "alpha": ["Größe", "日本", {"b": None, "a": 1.5}]},
        execution_id=uuid7(),
        step_id="planning",
        provenance={"rehearsal": True, "model": "scripted:writer", "inputs": []},
    )
    assert repository.save_version(saved) == saved
    found = repository.get_version(saved.id)
    assert found == saved
    assert list(found.content) == ["zeta", "title", "alpha"], "the order that the author chose"


def test_the_next_version_is_the_same_document_and_leaves_the_first_alone(alice: User) -> None:
    scope = scope_of(alice)
    first = store(scope)
    later = NOW + timedelta(hours=1)
    second = store(scope, version=2, title="The better plan", created_at=later)
    assert second == first
    head = Document.objects.get()
    assert (head.version, head.title, head.created_at, head.updated_at) == (2, "The better plan", NOW, later)
    newest, oldest = repository.get_version(first), repository.get_version(first, 1)
    assert newest is not None
    assert oldest is not None
    assert (newest.version, newest.title) == (2, "The better plan")
    assert (oldest.version, oldest.title, oldest.content) == (1, "The plan", {"title": "The plan"})


def test_a_document_is_found_by_scope_and_type(alice: User) -> None:
    scope, other = scope_of(alice), scope_of(alice, "beta")
    store(scope)
    store(scope, version=2, title="The better plan")
    store(scope, type="risks", title="Risks")
    store(other, title="Another plan")
    found = repository.newest_version(scope.id, "plan")
    assert found is not None
    assert (found.version, found.title) == (2, "The better plan")
    assert [(each.type, each.version) for each in repository.newest_versions(scope.id)] == [("plan", 2), ("risks", 1)]


def test_what_was_never_saved_is_nowhere(alice: User) -> None:
    scope = scope_of(alice)
    known = store(scope)
    assert repository.get_version(uuid7()) is None
    assert repository.get_version(known, 2) is None
    assert repository.newest_version(scope.id, "risks") is None
    assert repository.newest_versions(scope_of(alice, "beta").id) == []
    with transaction.atomic():
        assert repository.lock_heads({(scope.id, "risks")}).value[scope.id, "risks"] == repository.Head()


@pytest.mark.parametrize("version", [1, 2, 4, 0])
def test_a_version_that_is_not_the_next_is_refused_and_changes_nothing(alice: User, version: int) -> None:
    scope = scope_of(alice)
    store(scope)
    store(scope, version=2, title="The better plan")
    with pytest.raises(StaleVersion):
        store(scope, version=version, title="Mine")
    assert DocumentVersion.objects.count() == 2
    assert Document.objects.get().title == "The better plan"


def test_a_second_version_without_a_first_is_refused(alice: User) -> None:
    with pytest.raises(StaleVersion):
        store(scope_of(alice), version=2)
    assert Document.objects.count() == 0


def test_a_schema_is_stored_once_per_content(alice: User) -> None:
    scope = scope_of(alice)
    store(scope)
    store(scope, version=2, schema=dict(reversed(SCHEMA.items())))
    store(scope, version=3, schema={**SCHEMA, "additionalProperties": False})
    assert Schema.objects.count() == 2
    assert len(set(DocumentVersion.objects.filter(version__lt=3).values_list("schema_id"))) == 1
    found = repository.newest_version(scope.id, "plan")
    assert found is not None
    assert found.schema == {**SCHEMA, "additionalProperties": False}


def test_a_save_that_fails_half_way_has_saved_nothing(alice: User) -> None:
    scope = scope_of(alice)
    store(scope)
    with pytest.raises(TypeError):
        store(scope, version=2, title="Mine", content={"title": object()})
    assert Document.objects.get().version == 1
    assert Schema.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_version_over_a_head_that_was_read_before_another_write_is_refused(alice: User) -> None:
    scope = scope_of(alice)
    store(scope)
    head = repository.newest_version(scope.id, "plan")
    assert head is not None
    elsewhere(lambda: store(scope, version=2, title="Theirs"))
    with pytest.raises(StaleVersion):
        store(scope, version=head.version + 1, title="Mine")
    assert list(DocumentVersion.objects.order_by("version").values_list("title", flat=True)) == ["The plan", "Theirs"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("version", [1, 2])
def test_of_two_who_write_one_version_at_once_one_is_refused(alice: User, version: int) -> None:
    scope = scope_of(alice)
    if version == 2:
        store(scope)
    with ExitStack() as stack:
        with transaction.atomic():
            store(scope, version=version, title="Mine")
            other = stack.enter_context(blocked(lambda: store(scope, version=version, title="Theirs")))
        with pytest.raises(StaleVersion):
            other.result(DEADLINE_SECONDS)
    assert Document.objects.get().title == "Mine"
    assert DocumentVersion.objects.count() == version


@pytest.mark.django_db(transaction=True)
def test_the_writer_that_locks_the_head_first_decides_first(alice: User) -> None:
    scope = scope_of(alice)
    store(scope)
    with ExitStack() as stack:
        with transaction.atomic():
            assert repository.lock_heads({(scope.id, "plan")}).value[scope.id, "plan"].version == 1
            other = stack.enter_context(blocked(lambda: store(scope, version=2, title="Theirs")))
            store(scope, version=2, title="Mine")
        with pytest.raises(StaleVersion):
            other.result(DEADLINE_SECONDS)
    assert Document.objects.get().title == "Mine"


@pytest.mark.django_db(transaction=True)
def test_the_writer_that_locks_a_missing_head_makes_the_first_version(alice: User) -> None:
    scope = scope_of(alice)
    with ExitStack() as stack:
        with transaction.atomic():
            repository.lock_heads({(scope.id, "plan")})
            other = stack.enter_context(blocked(lambda: store(scope, title="Theirs")))
            store(scope, title="Mine")
        with pytest.raises(StaleVersion):
            other.result(DEADLINE_SECONDS)
    assert Document.objects.get().title == "Mine"


def test_the_head_repeats_what_lists_filter_by(alice: User) -> None:
    root = scope_of(alice)
    child = Scope.objects.create(parent=root, root=root, type="epic", key="one")
    made = store(child, provenance={"workflow_id": "concept"})
    head = Document.objects.get()
    assert (head.root_id, head.workflow_id, head.author_name, head.last_version) == (root.id, "concept", "", 1)
    edit = {"author_id": alice.pk, "author_name": "alice", "note": "typo", "base_version": 1, "provenance": {}}
    store(child, id=made, version=2, **edit)
    head.refresh_from_db()
    assert (head.root_id, head.workflow_id, head.author_name, head.last_version) == (root.id, "", "alice", 2)
    assert head.stale is False
    found = repository.get_version(made)
    assert found is not None
    assert {name: getattr(found, name) for name in edit} == edit


def test_equal_contents_have_equal_hashes(alice: User) -> None:
    scope = scope_of(alice)
    store(scope, content={"title": "Größe", "zeta": 1})
    store(scope, version=2, content={"zeta": 1, "title": "Größe"})
    store(scope, version=3, content={"zeta": 2, "title": "a lone surrogate: \ud800"})
    first, second, third = DocumentVersion.objects.order_by("version").values_list("content_hash", flat=True)
    assert first == second == hashlib.sha256('{"title":"Größe","zeta":1}'.encode()).hexdigest()
    assert first != third


def test_the_database_knows_no_document_and_no_version_twice(alice: User) -> None:
    scope = scope_of(alice)
    known = store(scope)
    head = {"scope": scope, "root": scope, "type": "plan", "title": "x", "version": 1, "last_version": 1}
    head |= {"created_at": NOW, "updated_at": NOW}
    with pytest.raises(IntegrityError, match="document_once_per_scope_and_type"), transaction.atomic():
        Document.objects.create(**head)
    row = DocumentVersion.objects.get(document_id=known)
    row.pk = None
    with pytest.raises(IntegrityError, match="document_version_once"), transaction.atomic():
        row.save()
