"""A patch made of a difference gives the later version: for any values, and for documents of every shipped workflow."""

from __future__ import annotations

import copy
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.comparison.diff import compare
from documents.comparison.patch import apply_patch
from documents.comparison.values import is_equal
from executions.engine.domain.calls import Material
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from tests.support.patch_writer import make_patch
from tests.unit.comparison.json_values import JSON_VALUES
from workflows.loader import folders, load_folder

MIB = 1024 * 1024
SCHEMAS = {
    f"{workflow.id}-{step.id}": step.output_schema
    for workflow in map(load_folder, folders())
    for step in workflow.steps
}
BRIEFS = (
    "# A library of tools\n\nThe city lends 400 tools. The budget is 20,000 EUR, and Ms Ode decides in May.",
    "# Veterinary practices\n\nTwelve practices share one calendar. Mr Berg pays 90 USD a month, from 2027-01-01 on.",
)


@cache
def written(name: str, brief: str) -> Any:
    """Return the document that the rehearsal writes for a step of a workflow."""
    facts = Facts((Material(kind="brief", name="brief", text=brief),))
    return DocumentGenerator(facts, root=dict(SCHEMAS[name]), document_type=name).write()


def edited(value: Any, random: Random) -> Any:
    """Return a document with some of the edits that people and models make."""
    if isinstance(value, dict):
        return {name: edited(each, random) for name, each in value.items() if random.random() > 0.03}
    if isinstance(value, list):
        items = [edited(each, random) for each in value if random.random() > 0.1]
        if items and random.random() < 0.3:
            items.insert(random.randrange(len(items)), items.pop(random.randrange(len(items))))
        if items and random.random() < 0.2:
            items.append(edited(copy.deepcopy(random.choice(items)), random))
        return items
    if random.random() < 0.9:
        return value
    if isinstance(value, str):
        words = value.split(" ")
        words[random.randrange(len(words))] = "edited"
        return " ".join(words)
    return None if isinstance(value, bool) or value is None else value + 1


def leads_to(before: Any, after: Any, **schemas: Any) -> bool:
    kept = copy.deepcopy((before, after))
    operations = make_patch(before, after, **schemas)
    result = apply_patch(before, operations, max_bytes=MIB)
    assert (before, after) == kept
    return is_equal(result, after)


@given(JSON_VALUES, JSON_VALUES)
def test_a_patch_leads_from_any_value_to_any_other(before: Any, after: Any) -> None:
    assert leads_to(before, after)


@given(JSON_VALUES, st.randoms(use_true_random=False))
def test_a_patch_leads_to_edited_values(before: Any, random: Random) -> None:
    assert leads_to(before, edited(before, random))


def test_there_are_schemas() -> None:
    assert len(SCHEMAS) > 10


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_patch_leads_between_documents_of_shipped_workflows(name: str) -> None:
    one, other = [written(name, brief) for brief in BRIEFS]
    assert not is_equal(one, other)
    assert leads_to(one, other, schema=SCHEMAS[name])
    assert leads_to(other, one, schema=SCHEMAS[name])


_DOCUMENTS = st.tuples(st.sampled_from(sorted(SCHEMAS)), st.sampled_from(BRIEFS))


@given(_DOCUMENTS, st.sampled_from(BRIEFS), st.randoms(use_true_random=False))
def test_a_patch_leads_between_edited_documents_of_shipped_workflows(
    document: tuple[str, str], brief: str, random: Random
) -> None:
    name, _ = document
    one, other = edited(written(*document), random), edited(written(name, brief), random)
    assert leads_to(one, other, schema=SCHEMAS[name])


def test_an_edit_of_a_shipped_document_is_told_where_it_is() -> None:
    before = written("software-delivery-epics", BRIEFS[0])
    after = copy.deepcopy(before)
    after["epics"][1]["goal"] += " It ends in May."
    after["epics"].insert(0, after["epics"].pop())
    [moved, changed] = compare(before, after, schema=SCHEMAS["software-delivery-epics"]).changes
    assert moved.pointer == "/epics/0"
    assert changed.pointer == "/epics/2/goal"
    assert changed.labels[0] == "Epics"
    assert changed.words[-1].text.endswith("It ends in May.")
    assert [each["op"] for each in make_patch(before, after)] == ["replace", "move"]


def test_items_are_moved_not_added_again() -> None:
    items: Any = [{"id": number, "text": "x" * 100} for number in range(6)]
    after: Any = [items[5], *items[1:3], {"id": 9}, items[0], {**items[4], "text": "y"}]
    operations = make_patch(items, after)
    assert [each["op"] for each in operations] == ["replace", "remove", "move", "move", "add"]
    assert leads_to(items, after)


def test_names_are_escaped() -> None:
    assert make_patch({"a/b": {"m~n": 1}}, {"a/b": {"m~n": 2}}) == [{"op": "replace", "path": "/a~1b/m~0n", "value": 2}]


def test_equal_values_need_no_operation() -> None:
    assert make_patch({"a": [1, True]}, {"a": [1.0, True]}) == []
    assert make_patch(1, True) == [{"op": "replace", "path": "", "value": True}]


def test_a_long_list_with_many_moves_is_replaced() -> None:
    before: Any = [{"id": number} for number in range(5_000)]
    after: Any = before[::20] + [item for index, item in enumerate(before) if index % 20]
    assert [each["op"] for each in make_patch({"a": before}, {"a": after})] == ["replace"]
    few = [before[-1], *before[:-1]]
    assert [each["op"] for each in make_patch({"a": before}, {"a": few})] == ["move"]
