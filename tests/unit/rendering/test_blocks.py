"""Content and schema as blocks: titles, order, tables, sections; nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.rendering.content.blocks import content_blocks
from documents.rendering.content.schema_view import humanize
from documents.rendering.content.tree import (
    Block,
    CodeBlock,
    Fields,
    Heading,
    ListBlock,
    Paragraph,
    Quote,
    Table,
    anchor_of,
    text_of,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "title": "In short", "description": "Write it for a busy reader."},
        "cost_in_eur": {"type": "integer"},
        "kind": {"enum": ["not_yet", "done"]},
        "risks": {"type": "array", "description": "The worst first.", "items": {"$ref": "#/$defs/risk"}},
    },
    "$defs": {
        "risk": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "level": {"oneOf": [{"const": "h", "title": "High"}, {"const": "l", "title": "Low"}]},
            },
        }
    },
}


def outline(content: Any, schema: Any = None, title: str = "Report") -> list[str]:
    """Return one line for each block."""
    return [line for block in content_blocks(content, schema, title=title) for line in lines_of(block)]


def lines_of(block: Block) -> list[str]:
    match block:
        case Heading():
            return [f"{'#' * block.level} {text_of(block.text)}"]
        case Paragraph():
            return [f"{block.role}: {text_of(block.text)}" if block.role else text_of(block.text)]
        case Fields():
            return [f"{each.label} = {text_of(each.value)}" for each in block.fields]
        case Table():
            return [" | ".join(text_of(cell) for cell in row) for row in (block.header, *block.rows)]
        case ListBlock():
            return [f"- {line}" for item in block.items for each in item for line in lines_of(each)]
        case Quote():
            return [f"> {line}" for each in block.blocks for line in lines_of(each)]
        case CodeBlock():
            return [f"`{line}" for line in block.text.split("\n")]
    return ["---"]


def test_titles_order_and_labels_come_from_the_schema() -> None:
    content = {
        "unknown_field": None,
        "risks": [{"level": "h", "name": "Fire"}, {"level": "l", "name": "Flood"}],
        "kind": "not_yet",
        "cost_in_eur": 1200,
        "summary": "Long. " * 30,
        "title": "Report",
    }
    assert outline(content, SCHEMA) == [
        "# In short",
        ("Long. " * 30).strip(),
        "Cost in eur = 1200",
        "Kind = not yet",
        "# Risks",
        "intro: The worst first.",
        "Name | Level",
        "Fire | High",
        "Flood | Low",
        "Unknown field = —",
    ]


def test_items_with_long_texts_are_sections_named_by_their_title() -> None:
    content = {
        "items": [{"id": "E1", "title": "Find *tools*", "goal": "x" * 300, "needs": ["E2"]}, {"goal": "y" * 300}]
    }
    assert outline(content) == [
        "# Items",
        "## E1: Find tools",
        f"Goal = {'x' * 300}",
        "Needs = E2",
        "## Items 2",
        f"Goal = {'y' * 300}",
    ]


def test_values_are_written_as_they_are() -> None:
    content: Any = {
        "a": True,
        "b": False,
        "c": None,
        "d": 1.50,
        "e": "2026-03-04",
        "f": [],
        "g": {},
        "h": "",
        "i": 12345678901,
    }
    assert outline(content) == [
        "A = yes", "B = no", "C = —", "D = 1.5", "E = 2026-03-04", "F = —", "G = —", "H = —", "I = 12345678901",
    ]  # fmt: skip


def test_texts_are_markdown_with_headings_below_their_section() -> None:
    content = {"text": "# One\n\n### Two\n\nA **b** [c](http://x.example) ![d](http://y.example/z.png)", "plain": "*x*"}
    assert outline(content) == ["# Text", "## One", "### Two", "A b c d (http://y.example/z.png)", "Plain = x"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("Only *text*", ["Only text"]),
        ([1, "b", [2, ["c"]]], ["- 1", "- b", "- - 2", "- - - c"]),
        ([{"a": {"b": 1}}, 5], ["# 1", "## A", "B = 1", "# 2", "5"]),
        (7, ["7"]),
        ([], ["—"]),
        ({"title": "Report"}, []),
        ({"title": "Another"}, ["Title = Another"]),
    ],
)
def test_any_json_value_is_a_document(content: Any, lines: list[str]) -> None:
    assert outline(content) == lines


def test_headings_deeper_than_there_are_levels_name_what_is_above_them() -> None:
    content: Any = "x"
    for _ in range(9):
        content = {"part": {"inner": content, "n": 1}}
    headings = [line for line in outline(content) if line.startswith("#")]
    assert headings[5] == "###### Inner"
    assert headings[6].startswith("###### ") and headings[6].endswith("Part")
    assert max(line.count("#") for line in headings) == 6


@pytest.mark.parametrize(
    ("schema", "value", "label"),
    [
        ({"anyOf": [{"type": "null"}, {"type": "string", "title": "Text"}]}, "x", "Text"),
        ({"oneOf": [{"required": ["a"], "title": "A"}, {"required": ["b"], "title": "B"}]}, {"b": 1}, "B"),
        ({"oneOf": [{"properties": {"k": {"const": 1}}, "title": "K1"}, {"title": "Other"}]}, {"k": 2}, "Other"),
        ({"allOf": [{"title": "All"}]}, {"b": 1}, "All"),
        ({"if": {"type": "string"}, "then": {"title": "Then"}, "else": {"title": "Else"}}, 3, "Else"),
        ({"$ref": "#/$defs/a"}, 1, "Deep"),
        ({"$ref": "#/$defs/loop"}, 1, "Value"),
        ({"$ref": "http://elsewhere.example/x"}, 1, "Value"),
        (True, 1, "Value"),
    ],
)
def test_the_branch_that_fits_names_a_value(schema: Any, value: Any, label: str) -> None:
    definitions = {"a": {"$ref": "#/$defs/b"}, "b": {"title": "Deep"}, "loop": {"$ref": "#/$defs/loop"}}
    lines = outline({"value": value}, {"properties": {"value": schema}, "$defs": definitions})
    assert lines[0].removeprefix("# ").partition(" = ")[0] == label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("pays_off_after", "Pays off after"),
        ("camelCaseName", "Camel case name"),
        ("kebab-case", "Kebab case"),
        ("URL", "URL"),
        ("Straße 5", "Straße 5"),
        ("_", "_"),
    ],
)
def test_names_become_labels(name: str, label: str) -> None:
    assert humanize(name) == label


def test_anchors_come_from_pointers_and_differ() -> None:
    assert anchor_of("/epics/0/done_when") == "epics.0.done_when"
    assert anchor_of("/a b/ü~1x", "risks@E1") == "risks~40~E1.a~20~b.~fc~~2f~x"
    pointers = ["/a.b", "/a/b", "/a~1b", "/a~0b", "/A/b"]
    assert len({anchor_of(pointer) for pointer in pointers}) == len(pointers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@given(JSON)
def test_anchors_are_unique_and_no_word_is_lost(content: Any) -> None:
    blocks = content_blocks(content, None, title="Report")
    anchors = [block.anchor for block in blocks if isinstance(block, Heading)]
    assert len(set(anchors)) == len(anchors)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers() | st.sampled_from(["w1", "w2"]), min_size=1)))
def test_every_value_of_a_list_of_objects_is_shown(content: list[dict[str, Any]]) -> None:
    shown = " ".join(outline(content)).replace("|", " ").replace(":", " ").split()
    assert all(str(value) in shown for item in content for value in item.values())
