"""Publishing: identical content keeps its version, and no publication is lost."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from common.errors import PreconditionFailed
from tests.factories.workflows import SCHEMA, definition, plan, step
from tests.support.two_connections import DEADLINE_SECONDS, blocked, elsewhere
from workflows import repository, selectors
from workflows.definitions.definition import RetryPolicy
from workflows.definitions.parser import parse_definition
from workflows.models import Workflow, WorkflowVersion
from workflows.repository import Publication

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Definitions are kept for good; a test's database is not."""
    repository.clear_definitions()


def publish(description: str = "Writes a note.") -> tuple[int, Publication]:
    return repository.publish(definition(description=description), now=NOW)


def versions() -> list[tuple[int, str]]:
    rows = WorkflowVersion.objects.order_by("version")
    return [(row.version, row.definition["description"]) for row in rows]


def test_versions_count_from_one_and_the_current_one_is_what_is_shown() -> None:
    assert (publish("First."), publish("Second.")) == ((1, Publication.NEW), (2, Publication.NEW))
    workflow = Workflow.objects.get()
    assert (workflow.version, workflow.description, workflow.step_count) == (2, "Second.", 1)
    assert list(repository.wanted_versions("note", None)) == [(2, repository.version_row_id("note", 2), None)]
    assert versions() == [(1, "First."), (2, "Second.")]


def shown() -> tuple[int, str]:
    """Return the current version, and what is shown of it."""
    workflow = Workflow.objects.get()
    assert selectors.current("note").version == workflow.version
    return workflow.version, workflow.description


def test_identical_content_is_the_version_it_was() -> None:
    publish("First.")
    publish("Second.")
    assert publish("Second.") == (2, Publication.UNCHANGED)
    assert (len(versions()), shown()) == (2, (2, "Second."))


def test_content_of_an_older_version_makes_that_one_current_again() -> None:
    publish("First.")
    publish("Second.")
    assert publish("First.") == (1, Publication.AGAIN)
    assert shown() == (1, "First.")
    assert publish("First.") == (1, Publication.UNCHANGED)
    assert publish("Second.") == (2, Publication.AGAIN)
    assert publish("First.") == (1, Publication.AGAIN)
    assert publish("Third.") == (3, Publication.NEW), "a number is never given twice"
    assert versions() == [(1, "First."), (2, "Second."), (3, "Third.")]
    assert shown() == (3, "Third.")


# --- the order of names ---------------------------------------------------------------------------------------------


def ordered(*names: str, **changes: Any) -> dict[str, Any]:
    """Return the source of a definition whose document has its fields in this order."""
    fields = {"title": {"type": "string"}, "zeta": {"enum": ["a", "b"]}, "alpha": {"type": "integer"}}
    schema = {**SCHEMA, "properties": {name: fields[name] for name in names}, **changes}
    return plan(steps=[step(output_schema=schema)])


FIRST, TURNED = ("title", "zeta", "alpha"), ("zeta", "alpha", "title")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ordered(*FIRST), ordered(*TURNED)),
        (ordered(*FIRST), ordered(*sorted(FIRST))),
        (
            ordered(*FIRST, **{"$defs": {"x": {"properties": {"a": True, "b": True}}}}),
            ordered(*FIRST, **{"$defs": {"x": {"properties": {"b": True, "a": True}}}}),
        ),
        (
            ordered(*FIRST, examples=[{"title": "T", "alpha": 1}]),
            ordered(*FIRST, examples=[{"alpha": 1, "title": "T"}]),
        ),
        (
            ordered(*FIRST, enum=[{"title": "T"}, {"title": "S"}]),
            ordered(*FIRST, enum=[{"title": "S"}, {"title": "T"}]),
        ),
    ],
)
def test_another_order_within_a_schema_is_another_version(before: dict[str, Any], after: dict[str, Any]) -> None:
    for source, expected in [(before, (1, Publication.NEW)), (after, (2, Publication.NEW))]:
        assert repository.publish(parse_definition(source), now=NOW) == expected
    assert repository.publish(parse_definition(before), now=NOW) == (1, Publication.AGAIN)
    shown_schema = selectors.output_schema("note", "step-1")
    assert str(shown_schema) == str(before["steps"][0]["output_schema"])


def test_another_order_elsewhere_is_the_same_version() -> None:
    roles = {name: {"name": name, "instructions": "You write."} for name in ("writer", "editor")}
    turned = {name: dict(reversed(roles[name].items())) for name in reversed(roles)}
    for source in [plan(roles=roles), dict(reversed(plan(roles=turned).items()))]:
        assert repository.publish(parse_definition(source), now=NOW)[0] == 1


def test_what_is_published_is_what_is_run() -> None:
    written = {"max_tries": 5, "cap_seconds": 60.0}
    repository.publish(definition(steps=[step(retries=written)]), now=NOW)
    assert repository.get_definition("note", 1).steps[0].retries == RetryPolicy(max_tries=5, cap_seconds=60)


def test_a_published_definition_comes_back_as_it_was_and_stays() -> None:
    publish("First.")
    publish("Second.")
    assert repository.get_definition("note", 1) == definition(description="First.")
    properties = WorkflowVersion.objects.get(version=1).definition["steps"][0]["output_schema"]["properties"]
    assert list(properties) == ["zeta", "title"], "the order that the author chose"


def test_what_was_never_published_is_nowhere() -> None:
    publish()
    assert list(repository.wanted_versions("nothing", None)) == []
    assert repository.version_row_id("note", 2) is None
    with pytest.raises(WorkflowVersion.DoesNotExist):
        repository.get_definition("note", 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("others", "expected"), [(["Second."], (2, "Second.")), (["Second.", "First."], (1, "First."))]
)
def test_a_publication_over_one_that_was_not_seen_is_refused(others: list[str], expected: tuple[int, str]) -> None:
    publish("First.")
    read = Workflow.objects.get().publications
    elsewhere(lambda: [publish(each) for each in others])
    with pytest.raises(repository.StaleWorkflow):
        repository.make_current("note", 1, expected=read, description="Mine.")
    assert shown() == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_identical_content_published_twice_at_once_is_one_version(is_first: bool) -> None:
    if not is_first:
        publish("Before.")
    with ExitStack() as stack:
        with transaction.atomic():
            mine = publish("Same.")
            other = stack.enter_context(blocked(lambda: publish("Same.")))
        assert other.result(DEADLINE_SECONDS) == (mine[0], Publication.UNCHANGED)
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
        assert other.result(DEADLINE_SECONDS) == (mine + 1, Publication.NEW)
    assert (Workflow.objects.get().version, Workflow.objects.get().description) == (mine + 1, "Other.")
    assert versions()[-2:] == [(mine, "Mine."), (mine + 1, "Other.")]


@pytest.mark.django_db(transaction=True)
def test_candidates_and_publications_at_once_keep_their_own_numbers() -> None:
    with ExitStack() as stack:
        with transaction.atomic():
            number, row_id = repository.store_candidate(definition(description="Same."), now=NOW)
            other = stack.enter_context(blocked(lambda: publish("Same.")))
        assert other.result(DEADLINE_SECONDS) == (1, Publication.NEW)
    assert number == repository.LAST_PUBLISHED + 1
    assert repository.store_candidate(definition(description="Same."), now=NOW) == (number, row_id)
    assert shown() == (1, "Same.")


@pytest.mark.django_db(transaction=True)
def test_a_switch_waits_for_a_publication_and_its_precondition_decides() -> None:
    publish("First.")
    with ExitStack() as stack:
        with transaction.atomic():
            publish("Second.")
            other = stack.enter_context(blocked(lambda: repository.switch("note", 1, now=NOW, expected_versions={1})))
        with pytest.raises(PreconditionFailed):
            other.result(DEADLINE_SECONDS)
    assert shown() == (2, "Second.")
    assert repository.switch("note", 1, now=NOW)
    assert not repository.switch("note", 1, now=NOW)
    assert shown() == (1, "First.")


def test_retiring_again_keeps_the_first_time_and_a_publication_keeps_it() -> None:
    publish("First.")
    later = NOW + timedelta(days=1)
    assert repository.set_retired("note", at=NOW)
    assert not repository.set_retired("note", at=later)
    publish("Second.")
    assert Workflow.objects.get().retired_at == NOW
    assert repository.set_retired("note", at=None)
    with pytest.raises(repository.NoSuchWorkflow):
        repository.set_retired("nothing", at=NOW)
