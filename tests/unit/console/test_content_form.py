"""The form of a content: what it sends unchanged is the content, and what cannot be read is shown again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import FieldError, Malformed
from common.limits import limits
from console.content_form import MISSING, ContentField, FormBuilder, with_errors
from console.sent_content import Empty, Kind, SentContent, Unread, read_content
from documents.rendering.content.schema_view import resolve

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title", "size", "risk", "epics", "owner"],
    "properties": {
        "title": {"type": "string", "maxLength": 80, "description": "In one line."},
        "size": {"type": "integer"},
        "risk": {"enum": ["low_risk", "high_risk"], "title": "How risky"},
        "draft": {"type": "boolean"},
        "owner": {"type": ["string", "null"]},
        "summary": {"type": "string"},
        "place": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        "epics": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["title", "needs"],
                "properties": {"title": {"type": "string"}, "needs": {"type": "array", "items": {"type": "string"}}},
            },
        },
        "any": {"type": ["string", "number"]},
    },
}
CONTENT: dict[str, Any] = {
    "title": "The plan",
    "size": 12,
    "risk": "low_risk",
    "owner": None,
    "epics": [{"title": "Counter", "needs": ["a", "b"]}, {"title": "Doors", "needs": []}],
}
SHIPPED = [json.loads(path.read_text()) for path in sorted(Path("workflows/catalog").glob("*/schemas/*.json"))]
NULLABLE: dict[str, Any] = {
    "type": "object",
    "required": ["list", "text", "number", "level"],
    "properties": {
        "list": {"type": ["array", "null"], "items": {"type": ["array", "null"], "items": {"type": "string"}}},
        "other": {"type": ["array", "null"]},
        "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "number": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/size"}]},
        "level": {"oneOf": [{"const": "low", "title": "Low"}, {"const": "high", "title": "High"}]},
        "place": {"anyOf": [{"type": "object", "properties": {"line\nend": {"type": "string"}}}, {"type": "null"}]},
    },
    "$defs": {"size": {"type": "integer"}},
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=25,
)
HOSTILE: list[Any] = [
    *(None, [], {}, [None], [[]], [{}], {"": None}, {"a\r\nb": "\r"}, {"a~1/b": [None, ["\r\n"]]}),
    *(
        "",
        " ",
        "   ",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\na",
        "a\r\nb",
        "a\rb",
        "a\nb\r\nc",
        "\ta",
        "\u2028",
        "null",
        '"',
        "\ufeff",
    ),
    *(True, 0, -0.0, 1.0, 10**300, 2**53 + 1, 1e-7),
]


@st.composite
def contents(draw: st.DrawFn, root: Any, schema: Any) -> Any:
    """Return what a schema describes, often with a value that it does not."""
    schema = resolve(root, schema["$ref"]) if "$ref" in schema else schema
    kinds = schema.get("type", "")
    if not ("object" in kinds or "array" in kinds) or not draw(st.integers(0, 7)):
        return draw(st.sampled_from([*HOSTILE, *schema.get("enum", ["Some text"])]))
    if "array" in kinds:
        return [draw(contents(root, schema.get("items", {}))) for _ in range(draw(st.integers(0, 2)))]
    members = schema.get("properties", {})
    return {name: draw(contents(root, members[name])) for name in members if draw(st.integers(0, 3))}


def sent(tree: ContentField) -> Iterator[tuple[str, str]]:
    """Yield what a browser sends of a form: no templates, no line ends in one line, else CR LF as the end of a line."""
    text = tree.value.replace("\r\n", "\n").replace("\r", "\n")
    if tree.choices:
        assert tree.value in dict(tree.choices)
    elif not tree.is_long:
        text = text.replace("\n", "")
    if not tree.is_missing:
        yield tree.name.replace("\n", "\r\n"), text.replace("\n", "\r\n")
    for part in tree.parts:
        yield from sent(part)


def exact(content: Any) -> str:
    """Return a text that differs for 1, 1.0 and true, and not for the order of names."""
    return json.dumps(content, sort_keys=True)


def fields(tree: ContentField) -> dict[str, ContentField]:
    """Return the fields by path."""
    found = {tree.path: tree}
    for part in tree.parts:
        found |= fields(part)
    return found


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.sampled_from([{}, SCHEMA]))
def test_a_form_that_is_sent_unchanged_gives_the_same_content(content: dict[str, Any], schema: dict[str, Any]) -> None:
    for builder in (FormBuilder(), FormBuilder(left=3)):  # what does not fit is JSON
        found = read_content(sent(builder.whole(content, schema)))
        assert (exact(found.content), found.errors) == (exact(content), [])


@pytest.mark.parametrize("schema", [*SHIPPED, SCHEMA, NULLABLE])
def test_no_value_of_a_known_schema_is_changed(schema: dict[str, Any]) -> None:
    @settings(max_examples=12, deadline=None, database=None)
    @given(contents(schema, schema))
    def unchanged(content: Any) -> None:
        found = read_content(sent(FormBuilder().whole(content, schema)))
        assert (exact(found.content), found.errors) == (exact(content), [])

    unchanged()
    for value in HOSTILE:
        for content in (value, dict.fromkeys(schema["properties"], value)):
            found = read_content(sent(FormBuilder().whole(content, schema)))
            assert (exact(found.content), found.errors) == (exact(content), [])


@pytest.mark.parametrize(
    "content",
    [
        {"list": [{"a0": 1}] * 200},  # with ten optional members each
        {"list": [{"a0": 1, "l": ["x", "y"]}] * 300},
        {f"name{i}": "" for i in range(3_000)},
        {"list": [{"a0": 1}] * 50, "rest": {f"name{i}": "" for i in range(700)}},
        {"list": [{}] * 80},
        {"list": [{"a0": "x"}] * 89},
    ],
)
def test_no_form_has_more_fields_than_a_form_may_have(content: Any) -> None:
    item = {"type": "object", "properties": {f"a{i}": {"type": "string"} for i in range(10)}}
    builder = FormBuilder()
    tree = builder.whole(content, {"type": "object", "properties": {"list": {"type": "array", "items": item}}})
    pairs = [*sent(tree)]
    assert len(pairs) <= limits().query_fields - 50
    assert (tree.kind is Kind.JSON) == builder.is_full
    assert read_content(pairs).content == content


def test_texts_that_cannot_be_read_stay_in_a_form_that_is_too_large() -> None:
    unread = {"/list/3/a": Unread(Kind.NUMBER, Empty.KEEP, "many")}
    content = {"list": [{"a": "many" if i == 3 else 1} for i in range(600)]}
    tree = FormBuilder(unread=unread).whole(content, {})
    assert (fields(tree)["/list/3/a"].value, fields(tree)["/list/599"].kind) == ("many", Kind.JSON)


def test_alternatives_with_null_and_lists_of_constants_are_fields() -> None:
    found = fields(FormBuilder().whole({"list": None, "text": None, "number": 3, "level": "low"}, NULLABLE))
    kinds = {path: (each.kind, each.name[9:10]) for path, each in found.items()}
    assert kinds["/text"] == (Kind.TEXT, "n")
    assert kinds["/number"] == (Kind.NUMBER, "n")
    assert found["/level"].choices == (('"low"', "Low"), ('"high"', "High"))
    assert found["/place"].template is not None
    many = {"properties": {"a": {"items": {"enum": [f"v{i}" for i in range(9_000)]}}}}
    listed = fields(FormBuilder().whole({"a": ["v1"] * 9}, many))
    assert [listed[f"/a/{i}"].kind for i in (1, 8)] == [Kind.CHOICE, Kind.TEXT]


def test_fields_are_as_the_schema_says() -> None:
    found = fields(FormBuilder().whole(CONTENT, SCHEMA))
    kinds = {path: each.kind for path, each in found.items()}
    assert kinds["/size"] is Kind.NUMBER
    assert kinds["/draft"] is Kind.BOOLEAN
    assert kinds["/epics/0/needs"] is Kind.LIST
    assert kinds["/any"] is Kind.JSON
    assert found["/risk"].choices == (('"low_risk"', "low risk"), ('"high_risk"', "high risk"))
    assert (found["/risk"].label, found["/title"].hint, found["/title"].is_long) == ("How risky", "In one line.", False)
    assert found["/summary"].is_long
    assert found["/draft"].choices[0] == ("", "—")
    assert found["/place"].is_missing
    assert found["/epics/1"].label == "Doors"
    assert found["/epics"].template is not None


def test_items_are_in_the_order_of_the_page() -> None:
    pairs = [*sent(FormBuilder().whole(CONTENT, SCHEMA))]
    first = [each for each in pairs if "/epics/0" in each[0]]
    rest = [each for each in pairs if each not in first]
    new = [("content.ok/epics/n7", ""), ("content.sk/epics/n7/title", "New"), ("content.lk/epics/n7/needs", "")]
    found = read_content([*rest, *first, *new]).content
    assert [each["title"] for each in found["epics"]] == ["Doors", "Counter", "New"]
    assert found["epics"][1] == CONTENT["epics"][0]


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("content.nk/size", "1,5", "Enter a number, such as 12 or 0.5."),
        ("content.nk/size", "NaN", "Enter a number, such as 12 or 0.5."),
        ("content.nk/size", "", "Enter a number."),
        ("content.jo/any", "{", "This is not JSON: Expecting property name"),
        ("content.ek/risk", "", "Choose a value."),
    ],
)
def test_what_cannot_be_read_is_shown_again_with_its_error(name: str, text: str, detail: str) -> None:
    pairs = dict(sent(FormBuilder().whole(CONTENT, SCHEMA))) | {name: text}
    found = read_content(pairs.items())
    [error] = found.errors
    assert error.detail.startswith(detail)
    shown = fields(with_errors(FormBuilder(unread=found.unread).whole(found.content, SCHEMA), found.errors))
    field = shown[error.pointer]
    assert (field.name, field.value) == (name, text)
    assert field.errors == (error.detail,)


def test_an_empty_optional_field_is_left_out_and_an_empty_text_of_the_document_stays() -> None:
    pairs = dict(sent(FormBuilder().whole({**CONTENT, "summary": "", "draft": True}, SCHEMA)))
    pairs["content.bo/draft"] = ""
    assert read_content(pairs.items()).content == {**CONTENT, "summary": ""}


def test_an_error_without_a_field_stands_at_the_nearest_field_above() -> None:
    errors = [FieldError(pointer=at, code="x", detail="Wrong.") for at in ("/any/deep", "/epics/7", "/unknown")]
    found = fields(with_errors(FormBuilder().whole({**CONTENT, "any": {"deep": 1}}, SCHEMA), errors))
    assert found["/any/deep"].errors == ("Wrong.",)
    assert found["/epics"].errors == ("7: Wrong.",)
    assert found[""].errors == ("unknown: Wrong.",)


@pytest.mark.parametrize("name", ["content.sk/a", "content.xx", "content.", "content.sk/a/b"])
def test_a_form_that_no_page_has_made_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        read_content([(name, "x")])
    with pytest.raises(Malformed):
        read_content([])


def test_a_schema_that_refers_to_itself_ends() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "one": {"$ref": "#"},
            **{f"list{i}": {"type": "array", "items": {"$ref": "#"}} for i in range(8)},
        },
    }
    builder = FormBuilder()
    tree = builder.whole({"name": "x", "list0": [{"list1": []}]}, node)
    assert builder.template_left > -50
    assert read_content(sent(tree)) == SentContent({"name": "x", "list0": [{"list1": []}]})
    assert read_content(sent(FormBuilder().whole(MISSING, SCHEMA))).content["epics"] == []
