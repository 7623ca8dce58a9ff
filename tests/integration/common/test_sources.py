"""YAML and JSON files written by people: their values, and errors with line numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.limits import limits
from common.sources.json_source import read_json
from common.sources.text_source import SourceError, read_text
from common.sources.yaml_source import read_yaml

CIRCLE = "a: &a [*a]"
LAUGHS = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))])
LONG_TEXTS = "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 100) + "]"


@pytest.mark.parametrize("text", ["yes", "no", "NO", "No", "on", "off", "y", "n", "Y", "tRUE", "12:30", "190:20:30"])
@pytest.mark.parametrize("place", ["a: {}", "a: [x, {}]", "{}: a", "- {}"])
def test_words_and_times_are_texts(text: str, place: str) -> None:
    assert json.dumps(read_yaml(place.format(text)).value).count(f'"{text}"') == 1


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T10:00:00Z", "1_000", "0777", "01067", "0b11", "=", "1.2.3"])
def test_what_only_yaml_1_1_takes_for_something_else_is_a_text(text: str) -> None:
    assert read_yaml(f"a: {text}").value == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("FALSE", False),
        ("null", None), ("~", None), ("", None), ("12", 12), ("-7", -7), ("0o17", 15), ("0xfF", 255),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"),
        ("!!int '12'", 12), ("!!float 1", 1),
    ],
)  # fmt: skip
def test_what_yaml_1_2_takes_for_a_value_is_one(text: str, value: object) -> None:
    found = read_yaml(f"a: {text}").value
    assert (found, type(found["a"])) == ({"a": value}, type(value))  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("a: 1\na: 2", 2, "duplicate_key"),
        ("a: {b: 1, c: 2, b: 3}", 1, "duplicate_key"),
        ("a: 1\n'a': 2", 2, "duplicate_key"),
        ("1: a\n'1': b", 2, "duplicate_key"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x", 4, "duplicate_key"),
        ("- - a: 1\n    b: 2\n    a: 3", 3, "duplicate_key"),
        (CIRCLE, 1, "unreadable_file"),
        ("a: &a\n  b: *a", 2, "unreadable_file"),
        ("a: *b", 1, "unreadable_file"),
        (LAUGHS, 7, "too_large"),
        (LONG_TEXTS, 2, "too_large"),
        ("[" * 3000, 1, "too_deep"),
        ("- " * 3000 + "x", 1, "too_deep"),
        ("{a: " * 3000, 1, "too_deep"),
        ("\n".join(" " * n + "a:" for n in range(3000)), 73, "too_deep"),
        ("\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]), 72, "too_deep"),
        ("a: .nan", 1, "unreadable_file"),
        ("a: [1, -.inf]", 1, "unreadable_file"),
        ("\na: 1e999", 2, "unreadable_file"),
        ("a: " + "9" * 5000, 1, "unreadable_file"),
        ("a: 0x" + "f" * 5000, 1, "unreadable_file"),
        ("a: !!python/object:os.system {}", 1, "unreadable_file"),
        ("a: !!python/name:os.system x", 1, "unreadable_file"),
        ("a: !!binary aGk=", 1, "unreadable_file"),
        ("a: !!set {b, c}", 1, "unreadable_file"),
        ("a: !!timestamp 2026-01-01", 1, "unreadable_file"),
        ("a: !!int x", 1, "unreadable_file"),
        ("a: !!int true", 1, "unreadable_file"),
        ("a: !own x", 1, "unreadable_file"),
        ("!!python/name:os.system x: 1", 1, "unreadable_file"),
        ("? [a, b]\n: c", 1, "unreadable_file"),
        ("a: &a b\n*a : c", 2, "unreadable_file"),
        ("a: 1\n---\na: 2", 2, "unreadable_file"),
        ("<<: 1", 1, "unreadable_file"),
        ("a: [", 2, "unreadable_file"),
        ("a: 'x", 1, "unreadable_file"),
        ("a: x\n\tb: y", 2, "unreadable_file"),
    ],
)  # fmt: skip
def test_what_yaml_may_not_say_is_refused_with_its_line(text: str, line: int, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_yaml(text)
    assert [(each.line, each.code) for each in caught.value.errors] == [(line, code)]
    assert len(str(caught.value)) < 400


def test_all_names_that_stand_twice_are_named_with_their_paths() -> None:
    with pytest.raises(SourceError) as caught:
        read_yaml("a:\n  - {x: 1, x: 2}\nb: {y: 1}\nb: 2")
    assert [(each.line, each.path) for each in caught.value.errors] == [(2, ("a", 0, "x")), (4, ("b",))]


def test_merge_keys_give_names_that_do_not_stand_there() -> None:
    text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nall: {d: 3, <<: [*one, *two], a: 3}\nquoted: {'<<': 1}"
    found: Any = read_yaml(text).value
    assert (found["all"], found["quoted"]) == ({"b": 1, "c": 2, "a": 3, "d": 3}, {"<<": 1})


@pytest.mark.parametrize(
    ("text", "path", "kept"),
    [
        ("task: Use ticket #5", ("task",), "Use ticket"),
        ("a:\n  - b: x  # y", ("a", 0, "b"), "x"),
        ("a: x\n  y\t#z", ("a",), "x y"),
        ("ü: é 😀 é #5", ("ü",), "é 😀 é"),
        ("a: |\n  \u2028\x85\nb: x #5", ("b",), "x"),
    ],
)
def test_a_text_that_a_comment_cuts_is_told(text: str, path: tuple[str | int, ...], kept: str) -> None:
    [cut] = read_yaml(text).truncated
    assert (cut.path, cut.text) == (path, kept)


@pytest.mark.parametrize(
    "text", ["a: 'x' # y", 'a: "x #5"', "a: |\n  x #5", "a: x#5", "a: 5 # y", "a: x\n# y", "a: # y\n  x"]
)
def test_a_comment_that_cuts_no_text_is_one(text: str) -> None:
    assert read_yaml(text).truncated == ()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_says_what_it_says(value: object) -> None:
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ('{"a": 1, "a": 2}', 1, "duplicate_key"),
        ('{"a": [{"b": 1,\n"b": 2}]}', 2, "duplicate_key"),
        ('{"a": 1,\n\n"\\u0061": 2}', 3, "duplicate_key"),
        ('{"a": NaN}', 1, "unreadable_file"),
        ('{"a": -Infinity}', 1, "unreadable_file"),
        ('{"a": 1e999}', None, "unreadable_file"),
        ('{"a": ' + "9" * 5000 + "}", 1, "unreadable_file"),
        ("[" * 3000 + "]" * 3000, 1, "too_deep"),
        ("[" * 100 + "]" * 100, None, "too_deep"),
        ('{"a": "\\ud800"}', 1, "unreadable_file"),
        ('{\n"a": 1,}', 2, "unreadable_file"),
        ('{"a": 1} // x', 1, "unreadable_file"),
        ("", 1, "unreadable_file"),
    ],
)
def test_what_json_may_not_say_is_refused_with_its_line(text: str, line: int | None, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_json(text)
    assert [(each.line, each.code) for each in caught.value.errors] == [(line, code)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.md").write_bytes("# Tü\r\nx\ry".encode(encoding))
    assert read_text(tmp_path / "a.md") == "# Tü\nx\ny"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Tü".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\x00T", "UTF-16"),
        ("Text".encode("utf-16-le"), "UTF-16"),
        ("Text".encode("utf-16-be"), "UTF-16"),
        ("Text\nTü".encode("latin-1"), "line 2: It is not in UTF-8"),
    ],
)
def test_another_encoding_is_said_in_a_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.md").write_bytes(data)
    with pytest.raises(SourceError, match=said):
        read_text(tmp_path / "a.md")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing", "n\0ul"):
        with pytest.raises(SourceError):
            read_text(tmp_path / name)


def test_a_file_above_the_limit_is_not_read(tmp_path: Path, restrict: Callable[..., None]) -> None:
    restrict(definition_bytes=1024)
    (tmp_path / "a.md").write_text("x" * 1024, encoding="utf-8")
    assert len(read_text(tmp_path / "a.md")) == limits().definition_bytes
    (tmp_path / "a.md").write_text("x" * 1025, encoding="utf-8")
    with pytest.raises(SourceError, match="1,024 bytes"):
        read_text(tmp_path / "a.md")


@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}?&*!|>'\"#%@,\n\t \ufeff\x85<~.0"))))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_yaml, read_json):
        try:
            read(text)
        except SourceError as error:
            assert error.errors
