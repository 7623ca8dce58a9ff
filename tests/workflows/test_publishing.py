"""Publishing: identical content stays the version it is, and no publication is lost."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from django.db import transaction

from tests.access.together import DEADLINE_SECONDS, blocked, elsewhere
from tests.workflows.plans import definition
from workflows import repository
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Definitions are kept for good; a test's database is not."""
    repository.forget_definitions()


def publish(description: str = "Writes a note.") -> tuple[int, bool]:
    return repository.publish(definition(description=description), now=NOW)


def versions() -> list[tuple[int, str]]:
    rows = WorkflowVersion.objects.order_by("version")
    return [(row.version, row.definition["description"]) for row in rows]


def test_versions_count_from_one_and_the_newest_is_what_is_shown() -> None:
    assert (publish("First."), publish("Second.")) == ((1, True), (2, True))
    workflow = Workflow.objects.get()
    assert (workflow.version, workflow.description, workflow.step_count) == (2, "Second.", 1)
    assert repository.newest_version("note") == 2
    assert versions() == [(1, "First."), (2, "Second.")]


def test_identical_content_is_the_version_it_was() -> None:
    publish("First.")
    publish("Second.")
    assert (publish("Second."), publish("First.")) == ((2, False), (1, False))
    assert len(versions()) == 2


def test_a_published_definition_comes_back_as_it_was_and_stays() -> None:
    publish("First.")
    publish("Second.")
    assert repository.get_definition("note", 1) == definition(description="First.")
    properties = WorkflowVersion.objects.get(version=1).definition["steps"][0]["output_schema"]["properties"]
    assert list(properties) == ["zeta", "title"], "the order that the author chose"


def test_what_was_never_published_is_nowhere() -> None:
    publish()
    assert repository.newest_version("nothing") is None
    assert repository.version_row_id("note", 2) is None
    with pytest.raises(WorkflowVersion.DoesNotExist):
        repository.get_definition("note", 2)


@pytest.mark.django_db(transaction=True)
def test_a_publication_over_a_version_that_was_read_before_another_is_refused() -> None:
    publish("First.")
    read = repository.newest_version("note")
    assert read == 1
    elsewhere(lambda: publish("Second."))
    with pytest.raises(repository.StaleWorkflow):
        repository.replace_newest("note", expected=read, description="Mine.")
    assert (Workflow.objects.get().version, Workflow.objects.get().description) == (2, "Second.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_identical_content_published_twice_at_once_is_one_version(is_first: bool) -> None:
    if not is_first:
        publish("Before.")
    with ExitStack() as stack:
        with transaction.atomic():
            mine = publish("Same.")
            other = stack.enter_context(blocked(lambda: publish("Same.")))
        assert other.result(DEADLINE_SECONDS) == (mine[0], False)
    assert [text for _, text in versions()].count("Same.") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_different_content_published_at_once_is_two_versions(is_first: bool) -> None:
    if not is_first:
        publish("Before.")
    with ExitStack() as stack:
        with transaction.atomic():
            mine = publish("Mine.")[0]
            other = stack.enter_context(blocked(lambda: publish("Other.")))
        assert other.result(DEADLINE_SECONDS) == (mine + 1, True)
    assert (Workflow.objects.get().version, Workflow.objects.get().description) == (mine + 1, "Other.")
    assert versions()[-2:] == [(mine, "Mine."), (mine + 1, "Other.")]
