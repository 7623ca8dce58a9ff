"""Two edits of one version: each change is in the item that it was made in, and what both changed is told."""

from __future__ import annotations

from typing import Any

import pytest

from documents.comparison.merge import merge
from documents.comparison.patch import apply_patch
from tests.support.patch_writer import make_patch


@pytest.mark.parametrize(
    ("mine", "theirs", "merged", "conflicts"),
    [
        ({"a": 2, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, {"a": 2, "b": [1, 3]}, []),
        ({"a": 2}, {"a": 3, "b": [1, 2]}, {"a": 2}, ["/a"]),
        ({"a": 1, "b": [0, 2]}, {"a": 1, "b": [1, 5]}, {"a": 1, "b": [0, 5]}, []),
        ({"a": 1, "b": [1]}, {"a": 1, "b": [1, 5]}, {"a": 1, "b": [1]}, ["/b"]),
        ({"a": True, "b": [1, 2]}, {"a": 1, "b": [1, 2], "c": 0}, {"a": True, "b": [1, 2], "c": 0}, []),
    ],
)
def test_two_edits_of_one_version_are_merged(mine: Any, theirs: Any, merged: Any, conflicts: list[str]) -> None:
    found = merge({"a": 1, "b": [1, 2]}, mine, theirs)
    assert (found.content, found.conflicts) == (merged, conflicts)
    base: Any = {"a": 1, "b": [1, 2]}
    assert apply_patch(base, make_patch(base, merged), max_bytes=10_000) == merged


def items(text: str) -> Any:
    """Return items: `A3 B5` are two, with an id and a value."""
    return [{"id": each[0], "is": each[1:]} for each in text.split()]


@pytest.mark.parametrize(
    ("mine", "theirs", "merged", "conflicts"),
    [
        ("B3 A3 C1", "A8 B3 C1", "B3 A8 C1", []),  # moved, and changed by the other
        ("A8 B3 C1", "B3 A3 C1", "B3 A8 C1", []),
        ("A3 B9 C1", "X5 A3 B3", "X5 A3 B9", []),  # a list of the same length with other items
        ("A3 B3 C1 D1", "A3 E1 B3", "A3 E1 B3 D1", []),
        ("A3 C1", "A3 B4 C1", "A3 C1", ["/items"]),  # one removed what the other changed
        ("A3 B4 C1", "A3 C1", "A3 B4 C1", ["/items/1"]),
        ("A3 B4 C1", "A3 C2 B5", "A3 C2 B4", ["/items/2/is"]),
        ("B3 A3 C1", "A3 C1 B3", "B3 A3 C1", ["/items"]),  # both have moved items
        ("A3 B3 C1 D1", "A3 B3 C1 D2", "A3 B3 C1 D1", ["/items/3"]),  # both added one with the same key
    ],
)
def test_items_with_keys_are_merged_wherever_they_stand(
    mine: str, theirs: str, merged: str, conflicts: list[str]
) -> None:
    base, one, other = ({"items": items(each)} for each in ("A3 B3 C1", mine, theirs))
    found = merge(base, one, other)
    assert (found.content, found.conflicts) == ({"items": items(merged)}, conflicts)


def test_the_key_that_the_schema_names_goes_before_others() -> None:
    schema = {"properties": {"items": {"type": "array", "x-key": "code", "items": {"type": "object"}}}}
    base: Any = {"items": [{"code": 1, "name": "a"}, {"code": 2, "name": "b"}]}
    mine: Any = {"items": [{"code": 2, "name": "b"}, {"code": 1, "name": "a"}]}
    theirs: Any = {"items": [{"code": 1, "name": "c"}, {"code": 2, "name": "b"}]}
    found = merge(base, mine, theirs, schema=schema)
    assert (found.content, found.conflicts) == ({"items": [mine["items"][0], theirs["items"][0]]}, [])


@pytest.mark.parametrize(
    ("mine", "theirs", "merged"),
    [
        ("aBcd", "abcD", "aBcD"),
        ("xabcd", "aBcd", "xaBcd"),
        ("abcdx", "acd", "acdx"),
        ("abXcd", "aBcd", "aBXcd"),
        ("bacd", "Abcd", None),  # moved, and changed by the other
        ("xabcd", "yabcd", None),
        ("ad", "abCd", None),
    ],
)
def test_items_without_keys_are_merged_in_different_stretches(mine: str, theirs: str, merged: str | None) -> None:
    found = merge([*"abcd"], [*mine], [*theirs])
    assert (found.content, found.conflicts) == ([*(merged or mine)], [] if merged else [""])
