"""JSON Patch: the operations of RFC 6902, errors with their place, and bounds."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from common.limits import limits
from documents.comparison.patch import PatchError, apply_patch
from documents.comparison.values import text_bytes

MIB = 1024 * 1024


def patched(document: Any, *operations: Any, **bounds: Any) -> Any:
    """Return the patched document; the document and the patch have to stay as they are."""
    kept = copy.deepcopy((document, operations))
    result = apply_patch(document, list(operations), **{"max_bytes": MIB, **bounds})
    assert (document, operations) == kept
    return result


def error_of(document: Any, *operations: Any, **bounds: Any) -> tuple[str, str]:
    """Return place and code of the error."""
    with pytest.raises(PatchError) as caught:
        patched(document, *operations, **bounds)
    assert caught.value.error.detail.endswith((".", "!"))
    return caught.value.error.pointer, caught.value.error.code


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def move(source: str, path: str) -> dict[str, Any]:
    return {"op": "move", "from": source, "path": path}


def copied(source: str, path: str) -> dict[str, Any]:
    return {"op": "copy", "from": source, "path": path}


def check(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ({"a": 1}, add("/b", None), {"a": 1, "b": None}),
        ({"a": None}, add("/a", 2), {"a": 2}),
        ({}, add("/", 1), {"": 1}),
        ({"a": {}}, add("/a/", 1), {"a": {"": 1}}),
        ({}, add("/0", "x"), {"0": "x"}),
        ({"a": 1}, add("/-", 2), {"a": 1, "-": 2}),
        ([], add("/0", 1), [1]),
        ([], add("/-", 1), [1]),
        ([1, 2], add("/0", 0), [0, 1, 2]),
        ([1, 2], add("/2", 3), [1, 2, 3]),
        ([1, 2], add("/1", [5, 6]), [1, [5, 6], 2]),
        ([[1], {"a": [2]}], add("/1/a/-", 3), [[1], {"a": [2, 3]}]),
        ({"a": 1}, add("", [1]), [1]),
        ("text", replace("", None), None),
        ({"a": [1]}, replace("/a", {}), {"a": {}}),
        ([0, 1], replace("/1", [2]), [0, [2]]),
        ({"a": 1, "b": 2}, remove("/a"), {"b": 2}),
        ([1, 2, 3], remove("/1"), [1, 3]),
        ({"a": None}, remove("/a"), {}),
        ({"a": {"b": 1}}, move("/a/b", "/c"), {"a": {}, "c": 1}),
        ({"a": 1}, move("/a", "/a"), {"a": 1}),
        ([1, 2, 3], move("/0", "/2"), [2, 3, 1]),
        ([1, 2, 3], move("/2", "/0"), [3, 1, 2]),
        ([1, 2], move("/0", "/-"), [2, 1]),
        ({"a": {"b": [1]}}, move("/a/b", ""), [1]),
        ({"a": {"b": [1]}}, move("/a", "/a2"), {"a2": {"b": [1]}}),
        ({"a": {"b": 1}}, copied("/a", "/a/c"), {"a": {"b": 1, "c": {"b": 1}}}),
        ({"a": [1]}, copied("", "/b"), {"a": [1], "b": {"a": [1]}}),
        ([[1], 2], copied("/0", "/2"), [[1], 2, [1]]),
        ({"a/b": 1, "m~n": 2, "~1": 3}, remove("/a~1b"), {"m~n": 2, "~1": 3}),
        ({"a/b": 1, "m~n": 2, "~1": 3}, remove("/m~0n"), {"a/b": 1, "~1": 3}),
        ({"a/b": 1, "m~n": 2, "~1": 3}, remove("/~01"), {"a/b": 1, "m~n": 2}),
        ({" ": 1, "é": 2}, remove("/ "), {"é": 2}),
        ({"a": 1}, {**check("/a", 1), "comment": "unknown members do not count"}, {"a": 1}),
    ],
)
def test_operations(document: Any, operation: Any, expected: Any) -> None:
    assert patched(document, operation) == expected


@pytest.mark.parametrize(
    ("value", "other", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": [True]}, {"a": [1]}, False),
        ("", None, False),
    ],
)
def test_test_compares_as_json(value: Any, other: Any, equal: bool) -> None:
    if equal:
        assert patched({"x": value}, check("/x", other)) == {"x": value}
    else:
        assert error_of({"x": value}, check("/x", other)) == ("/0/value", "test_failed")


@pytest.mark.parametrize(
    ("document", "operation", "place", "code"),
    [
        ({}, 5, "/1", "not_an_object"),
        ({}, {"path": ""}, "/1", "required"),
        ({}, {"op": "spam", "path": ""}, "/1/op", "unknown_operation"),
        ({}, {"op": ["add"], "path": ""}, "/1/op", "unknown_operation"),
        ({}, {"op": "add", "value": 1}, "/1", "required"),
        ({}, {"op": "add", "path": "/a"}, "/1", "required"),
        ([None], {"op": "test", "path": "/0"}, "/1", "required"),
        ({}, {"op": "move", "path": "/a"}, "/1", "required"),
        ({}, add("a", 1), "/1/path", "invalid_pointer"),
        ({}, {"op": "add", "path": 1, "value": 1}, "/1/path", "invalid_pointer"),
        ({"a~": 1}, remove("/a~"), "/1/path", "invalid_pointer"),
        ({"a~2": 1}, copied("/a~2", "/b"), "/1/from", "invalid_pointer"),
        ({}, add("/a/b", 1), "/1/path", "not_found"),
        ({"a": 1}, add("/a/b", 1), "/1/path", "not_found"),
        ({"a": "text"}, add("/a/0", 1), "/1/path", "not_found"),
        ({}, remove("/a"), "/1/path", "not_found"),
        ({}, replace("/a", 1), "/1/path", "not_found"),
        ({}, check("/a", None), "/1/path", "not_found"),
        ({}, copied("/a", "/b"), "/1/from", "not_found"),
        ([1], move("/1", "/0"), "/1/from", "not_found"),
        ([1], add("/2", 1), "/1/path", "not_found"),
        ([1], remove("/-"), "/1/path", "not_found"),
        ([1], replace("/1", 1), "/1/path", "not_found"),
        ([1], add("/-1", 1), "/1/path", "invalid_index"),
        ([1, 2], check("/01", 2), "/1/path", "invalid_index"),
        ([1], check("/00", 1), "/1/path", "invalid_index"),
        ([1, 2], remove("/1e0"), "/1/path", "invalid_index"),
        ([1, 2], add("/1.0", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/+1", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/ 1", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/\u0661", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/a", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/", 1), "/1/path", "invalid_index"),
        ([1, 2], add("/" + "9" * 5_000, 1), "/1/path", "invalid_index"),
        ({"a": {"b": 1}}, move("/a", "/a/b"), "/1/path", "own_child"),
        ({"a": 1}, move("", "/a"), "/1/path", "own_child"),
        ({"a": 1}, remove(""), "/1/path", "whole_document"),
    ],
)
def test_errors_have_their_place_in_the_patch(document: Any, operation: Any, place: str, code: str) -> None:
    assert error_of(document, check("", document), operation) == (place, code)


def test_a_patch_is_a_list_of_a_limited_length() -> None:
    with pytest.raises(PatchError) as caught:
        apply_patch({}, {"op": "add"}, max_bytes=MIB)
    assert (caught.value.error.pointer, caught.value.error.code) == ("", "not_a_list")
    assert patched([], *[add("/-", 1)] * 1_000) == [1] * 1_000
    assert error_of([], *[add("/-", 1)] * 1_001) == ("", "too_many_operations")
    assert error_of([], add("/-", 1), max_operations=0) == ("", "too_many_operations")


def test_a_long_pointer_is_cut_in_the_text() -> None:
    with pytest.raises(PatchError) as caught:
        patched({}, remove("/" + "x" * 10_000))
    assert len(caught.value.error.detail) < 300


def test_nothing_applies_if_one_operation_fails() -> None:
    document = {"a": [1]}
    assert error_of(document, add("/a/-", 2), remove("/b")) == ("/1/path", "not_found")
    assert document == {"a": [1]}


def test_values_of_a_patch_are_not_shared_with_the_document() -> None:
    assert patched({}, add("/a", []), copied("/a", "/b"), add("/a/-", 1)) == {"a": [1], "b": []}


@pytest.mark.parametrize(
    ("document", "operation", "size"),
    [
        ({}, add("/a", 1), 7),
        ({"é": 1}, add("/b", "ü"), 17),
        ([1], add("/-", [2]), 7),
        ({"a": [1, 2]}, replace("/a", 12), 8),
        ({"a": 1}, add("", "text"), 6),
        ({"a": {"b": 1}}, copied("/a", "/c"), 25),
    ],
)
def test_a_document_may_be_as_large_as_the_maximum(document: Any, operation: Any, size: int) -> None:
    result = patched(document, operation, max_bytes=size)
    assert text_bytes(result) == size
    if operation["op"] != "replace":
        assert error_of(document, operation, max_bytes=size - 1) == ("/0/path", "too_large")


def test_what_is_removed_makes_room() -> None:
    document = {"a": "x" * 1_000}
    operations = [replace("/a", "y" * 1_000)] * 15
    assert patched(document, *operations, remove("/a"), add("/b", "z" * 900), max_bytes=1_100) == {"b": "z" * 900}


def test_copies_that_double_the_document_are_refused_before_they_are_made() -> None:
    doubling = [copied("", "/-") for _ in range(60)]
    assert error_of(["x" * 100], *doubling, max_bytes=MIB, max_depth=100) == ("/13/path", "too_large")
    swapping = [copied("/a", "/b"), remove("/b")] * 500
    started = time.process_time()
    assert error_of({"a": "x" * (MIB - 100)}, *swapping)[1] == "too_large"
    assert patched({"a": ["x" * 400_000]}, *swapping[:20])
    assert time.process_time() - started < 1


def test_a_patch_that_measures_the_document_again_and_again_is_refused() -> None:
    document = {"a": "x" * 400_000, "b": "y" * 400_000}
    operations = [copied("/a", "/c"), remove("/b"), copied("/c", "/b"), remove("/c")] * 250
    started = time.process_time()
    assert error_of(document, *operations, max_bytes=1_250_000)[1] == "too_large"
    assert time.process_time() - started < 1


def test_levels_are_limited() -> None:
    deeper = [add("/" + "/".join("0" * level), []) for level in range(1, 100)]
    place, code = error_of([], *deeper)
    assert (place, code) == (f"/{limits().request_depth - 1}/path", "too_deep")
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    with pytest.raises(PatchError) as caught:
        apply_patch({}, [add("/a", value)], max_bytes=MIB)
    assert caught.value.error.code == "too_deep"
    assert error_of({"a": {"b": {}}}, *[copied("/a", "/a/b/" + str(n)) for n in range(3)], max_depth=4)[1] == "too_deep"
    assert error_of({"a": {"b": {"c": {}}}, "d": {}}, move("/a", "/d/a"), max_depth=4)[1] == "too_deep"


def test_removed_levels_do_not_count() -> None:
    document: Any = {"deep": [[[[1]]]], "flat": [1], "there": {"x": {"y": {}}}}
    assert patched(document, remove("/deep"), copied("/flat", "/there/x/y/z"), max_depth=5)["there"] == {
        "x": {"y": {"z": [1]}}
    }


def test_a_document_that_is_too_deep_already_can_be_patched() -> None:
    document: Any = {}
    for _ in range(80):
        document = {"a": document, "b": 1}
    assert patched(document, replace("/a/b", 2))["a"]["b"] == 2
