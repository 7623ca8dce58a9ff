"""The form of a content: what it sends unchanged is the content, and what cannot be read is shown again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import FieldError, Malformed
from console.content_form import MISSING, ContentField, FormBuilder, with_errors
from console.sent_content import Kind, SentContent, read_content

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
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=25,
)


def sent(tree: ContentField) -> Iterator[tuple[str, str]]:
    """Yield what a browser sends of a form: no templates, and CR LF as the end of a line."""
    if not tree.is_missing:
        yield tree.name, tree.value.replace("\n", "\r\n")
    for part in tree.parts:
        yield from sent(part)


def fields(tree: ContentField) -> dict[str, ContentField]:
    """Return the fields by path."""
    found = {tree.path: tree}
    for part in tree.parts:
        found |= fields(part)
    return found


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.sampled_from([{}, SCHEMA]))
def test_a_form_that_is_sent_unchanged_gives_the_same_content(content: dict[str, Any], schema: dict[str, Any]) -> None:
    found = read_content(sent(FormBuilder().whole(content, schema)))
    assert (found.content, found.errors) == (content, [])
    left = FormBuilder(left=3).whole(content, schema)  # what does not fit is JSON
    assert read_content(sent(left)).content == content


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
