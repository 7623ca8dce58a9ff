"""The difference of two documents: by their schema, complete, and in reading order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from documents.comparison.diff import Change, ChangeKind, compare
from documents.comparison.values import ABSENT, is_equal, parts_of, resolve
from tests.unit.comparison.json_values import JSON_VALUES

SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "epics": {"title": "Epics", "type": "array", "items": {"$ref": "#/$defs/epic"}},
        "open_points": {"type": "array", "items": {"type": "string"}},
    },
    "$defs": {
        "epic": {
            "anyOf": [
                {"properties": {"title": {"type": "string"}, "goal": {"title": "Goal", "type": "string"}}},
                {"type": "null"},
            ]
        }
    },
}


def told(before: Any, after: Any, **schemas: Any) -> list[tuple[Any, ...]]:
    """Return kind, pointers and values of each change."""
    changes = compare(before, after, **schemas).changes
    return [(each.kind.value, each.pointer_before, each.pointer, each.before, each.after) for each in changes]


def kinds(before: Any, after: Any, **schemas: Any) -> list[tuple[str, str | None, str | None]]:
    return [(kind, old, new) for kind, old, new, _, _ in told(before, after, **schemas)]


def labels(before: Any, after: Any, **schemas: Any) -> list[str]:
    return [" > ".join(each.labels) for each in compare(before, after, **schemas).changes]


def test_fields_are_added_removed_and_changed_in_the_order_of_the_schema() -> None:
    before = {"zeta": 1, "open_points": ["a"], "alpha": 1, "summary": "old"}
    after = {"alpha": 2, "summary": "new", "epics": []}
    assert told(before, after, schema=SCHEMA) == [
        ("changed", "/summary", "/summary", "old", "new"),
        ("added", None, "/epics", ABSENT, []),
        ("removed", "/open_points", None, ["a"], ABSENT),
        ("changed", "/alpha", "/alpha", 1, 2),
        ("removed", "/zeta", None, 1, ABSENT),
    ]


def test_the_schema_of_the_earlier_version_orders_what_the_later_one_does_not_know() -> None:
    old = {"properties": {"z": {"title": "Zed"}, "b": {}}}
    new = {"properties": {"b": {"title": "Bee"}, "a": {}}}
    before, after = {"z": 1, "b": 1, "a": 1, "c": 1}, {"z": 2, "b": 2, "a": 2, "c": 2}
    assert labels(before, after, schema=new, schema_before=old) == ["Bee", "A", "Zed", "C"]


def test_labels_are_titles_of_the_schema_and_of_items() -> None:
    before = {"epics": [{"title": "Counter", "goal": "Count"}], "open_points": ["a"]}
    after = {"epics": [{"title": "Counter", "goal": "Count all"}], "open_points": ["b"]}
    assert labels(before, after, schema=SCHEMA) == ["Epics > Counter > Goal", "Open points > Item 1"]
    assert labels({"épicTitle": 1, "": 1}, {"épicTitle": 2, "": 2}) == ["(no name)", "Épic title"]
    assert labels([{"title": "x" * 500}], [{"title": "x" * 500, "a": 1}])[0] == f"{'x' * 79}… > A"


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (1, 1.0, False),
        (10**20, 1e20, False),
        (True, 1, True),
        (False, 0, True),
        (None, False, True),
        ("1", 1, True),
        ([], {}, True),
        ("", None, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ({"a": None}, {}, True),
        ([1, [True]], [1, [1]], True),
        ([{"a": [0]}], [{"a": [False]}], True),
        ("e\u0301", "é", True),
    ],
)
def test_equality_is_that_of_json(before: Any, after: Any, changed: bool) -> None:
    assert bool(compare(before, after).changes) is changed
    assert bool(compare({"x": [before]}, {"x": [after]}).changes) is changed
    assert is_equal(before, after) is not changed


def test_null_is_not_a_missing_field() -> None:
    assert told({"a": None}, {}) == [("removed", "/a", None, None, ABSENT)]
    assert [each.as_json() for each in compare({}, {"a": None}).changes] == [
        {"kind": "added", "pointer": "/a", "pointer_before": None, "labels": ["A"], "after": None}
    ]


def test_a_document_may_be_absent() -> None:
    assert told(ABSENT, {"a": 1}) == [("added", None, "", ABSENT, {"a": 1})]
    assert told({"a": 1}, ABSENT) == [("removed", "", None, {"a": 1}, ABSENT)]
    assert told(ABSENT, ABSENT) == []


def test_an_item_with_a_key_is_followed_where_it_moves_and_changes() -> None:
    before: Any = {"epics": [{"id": "a", "goal": "x"}, {"id": "b", "goal": "y"}, {"id": "c", "goal": "z"}]}
    after: Any = {"epics": [{"id": "c", "goal": "new"}, {"id": "a", "goal": "x"}, {"id": "d"}]}
    changes = compare(before, after).changes
    assert [(each.kind, each.pointer_before, each.pointer) for each in changes] == [
        ("moved", "/epics/2", "/epics/0"),
        ("changed", "/epics/2/goal", "/epics/0/goal"),
        ("added", None, "/epics/2"),
        ("removed", "/epics/1", None),
    ]
    assert (changes[0].index_before, changes[0].index) == (2, 0)
    assert "before" not in changes[0].as_json()
    assert changes[0].as_json()["index_before"] == 2


def test_moves_are_as_few_as_possible() -> None:
    items = [{"id": number} for number in range(8)]
    assert kinds(items, [*items[1:], items[0]]) == [("moved", "/0", "/7")]
    assert kinds(items, [items[7], *items[:7]]) == [("moved", "/7", "/0")]
    assert [kind for kind, _, _ in kinds(items, items[::-1])] == ["moved"] * 7
    assert kinds(["x", "y", "z"], ["z", "x", "y"]) == [("moved", "/2", "/0")]


@pytest.mark.parametrize(
    ("name", "values"), [("id", [1, 2.5]), ("key", ["a", "b"]), ("slug", ["a", "b"]), ("name", ["a", "b"])]
)
def test_keys_are_usual_names_with_unique_scalars(name: str, values: list[Any]) -> None:
    first, second = [{name: value, "text": "same"} for value in values]
    assert kinds([first, second], [{**second, "text": "other"}, first])[0][0] == "moved"


def test_the_schema_may_name_the_key() -> None:
    before = [{"id": 1, "code": "a", "n": 1}, {"id": 2, "code": "b", "n": 2}]
    after = [{"id": 1, "code": "b", "n": 2}, {"id": 2, "code": "a", "n": 1}]
    assert [kind for kind, _, _ in kinds(before, after)] == ["changed"] * 4
    for schema in ({"x-key": "code", "items": {}}, {"items": {"x-key": "code"}}):
        assert kinds(before, after, schema=schema) == [
            ("moved", "/1", "/0"),
            ("changed", "/1/id", "/0/id"),
            ("changed", "/0/id", "/1/id"),
        ]


@pytest.mark.parametrize("broken", [{"id": 1}, {"id": True}, {"id": None}, {"id": [1]}, {}, "x"])
def test_a_name_is_no_key_unless_every_item_has_its_own_scalar(broken: Any) -> None:
    before = [{"id": 1, "text": "alpha"}, broken]
    after = [{"id": 9, "text": "alpha"}, broken]
    assert kinds(before, after) == [("changed", "/0/id", "/0/id")]


def test_an_item_whose_title_was_edited_is_the_same_item() -> None:
    before = [{"title": "Count visitors", "goal": "to know how many come"}, {"title": "B", "goal": "other things"}]
    after = [{"title": "New", "goal": "nothing alike"}, {"title": "Counting", "goal": before[0]["goal"]}, before[1]]
    assert kinds(before, after) == [("added", None, "/0"), ("changed", "/0/title", "/1/title")]


def test_items_without_a_key_are_matched_by_content_then_similarity_then_place() -> None:
    assert kinds(["a", "b", "c"], ["new", "a", "b", "c"]) == [("added", None, "/0")]
    assert kinds(["a", "b", "c"], ["a", "c"]) == [("removed", "/1", None)]
    similar = ["The city lends tools to people.", "A board decides each May.", "It is free."]
    after = ["Quite another sentence", "The city lends 400 tools to people.", "A board decides.", "It is free."]
    assert kinds(similar, after) == [("added", None, "/0"), ("changed", "/0", "/1"), ("changed", "/1", "/2")]
    assert kinds([1, 2, 3], [1, 5, 3]) == [("changed", "/1", "/1")]
    assert kinds([1, 1, 1], [1, 1]) == [("removed", "/2", None)]


def test_a_removed_item_stands_before_the_item_that_followed_it() -> None:
    before = [{"id": 1, "n": 0}, {"id": 2}, {"id": 3, "n": 0}]
    assert kinds(before, [{"id": 1, "n": 1}, {"id": 3, "n": 1}]) == [
        ("changed", "/0/n", "/0/n"),
        ("removed", "/1", None),
        ("changed", "/2/n", "/1/n"),
    ]


def test_names_are_escaped_in_pointers() -> None:
    assert kinds({"a/b": {"m~n": 1}}, {"a/b": {"m~n": 2}}) == [("changed", "/a~1b/m~0n", "/a~1b/m~0n")]


def test_texts_come_with_their_words() -> None:
    [change] = compare({"a": "one two"}, {"a": "one three"}).changes
    assert change.as_json()["words"] == [
        {"op": "equal", "text": "one "},
        {"op": "delete", "text": "two"},
        {"op": "insert", "text": "three"},
    ]


def test_very_many_changes_are_told_as_one_and_completely() -> None:
    before: Any = [[[n] for n in range(1_500)], {"a": 1}]
    after: Any = [[[-1 - n] for n in range(1_500)], {"a": 2}]
    assert kinds(before, after) == [("changed", "/0", "/0"), ("changed", "/1/a", "/1/a")]
    before, after = {f"k{n}": n for n in range(1_001)}, {f"k{n}": -1 - n for n in range(1_001)}
    assert kinds({"a": before}, {"a": after}) == [("changed", "/a", "/a")]
    before = [{f"k{n}": n for n in range(900)} for _ in range(9)]
    after = [{f"k{n}": -n for n in range(900)} for _ in range(9)]
    changes = compare(before, after).changes
    assert [each.pointer for each in changes][-7:] == [f"/{index}" for index in range(2, 9)]
    assert len(changes) == 2 * 899 + 7


def test_deep_values_are_told_as_a_whole() -> None:
    before, after = 1, 2
    for _ in range(300):
        before, after = [before], [after]  # type: ignore[assignment]
    [change] = compare(before, after).changes
    assert change.pointer == "/0" * 100


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$ref": "#"},
        {"$ref": "#/$defs/none"},
        {"$ref": "https://elsewhere.example/"},
        {"$ref": "#x~y"},
        {"allOf": [{"$ref": "#"}, True, 3], "properties": [], "title": 5, "items": False},
        {"properties": {"a": True, "b": None}, "items": {"x-key": 3}, "prefixItems": "no"},
    ],
)
def test_schemas_that_are_not_understood_change_nothing(schema: Any) -> None:
    assert kinds({"a": [1]}, {"a": [2]}, schema=schema) == [("changed", "/a/0", "/a/0")]
    assert kinds([{"a": [1]}], [{"a": [2]}], schema=schema) == [("changed", "/0/a/0", "/0/a/0")]


def _agrees(change: Change, before: Any, after: Any) -> None:
    if change.pointer is not None:
        assert is_equal(resolve(after, parts_of(change.pointer)), change.after)
    if change.pointer_before is not None:
        assert is_equal(resolve(before, parts_of(change.pointer_before)), change.before)
    assert (change.before is ABSENT) == (change.kind is ChangeKind.ADDED)
    assert (change.after is ABSENT) == (change.kind is ChangeKind.REMOVED)
    if change.words:
        assert "".join(run.text for run in change.words if run.op != "insert") == change.before
        assert "".join(run.text for run in change.words if run.op != "delete") == change.after


@given(JSON_VALUES, JSON_VALUES)
def test_a_difference_says_what_is_at_its_pointers(before: Any, after: Any) -> None:
    changes = compare(before, after).changes
    assert bool(changes) is not is_equal(before, after)
    for change in changes:
        _agrees(change, before, after)
