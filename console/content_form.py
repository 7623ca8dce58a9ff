"""The content of a document as a form: a tree of fields by its schema.

What a form cannot show is JSON in a field of its own: values of several types, what nests too deeply, and what a form
would change (a null list, a lone carriage return). A content with more values than a form may have fields is JSON as a
whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from console.sent_content import TEXTS, Empty, Kind, Unread, json_text, name_of
from documents.rendering.content.schema_view import SchemaView, humanize, resolve
from documents.rendering.content.tree import clean_line

_OTHER_FIELDS = 50  # of the form, beside those of the content
_MAX_TEMPLATE_FIELDS = 3_000
_MAX_CHOICES = 20_000  # of all lists of choices
_MAX_DEPTH = 12
_MAX_NEW = 3  # levels of new items within new items
_SHORT = 120  # characters of a text on one line
_NAMES_OF_ITEMS = ("title", "name", "heading", "label", "term", "id", "key")
#: Stands for the number of a new item, with a digit for the level of new items. No document has it.
NEW = "\ue000"
MISSING: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentField:
    """One field, list or object of the form."""

    kind: Kind
    name: str
    path: str
    label: str
    hint: str = ""
    value: str = ""
    is_long: bool = False
    is_optional: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    errors: tuple[str, ...] = ()
    parts: tuple[ContentField, ...] = ()
    template: ContentField | None = None  # a new item of a list, or an object that is left out so far
    token: str = ""  # in the template, where a new item has its number
    is_item: bool = False
    is_missing: bool = False  # an object that is left out

    @property
    def id(self) -> str:
        """The id of the element."""
        return re.sub(r"\s", "_", f"field{self.path}")

    @property
    def described_by(self) -> str:
        """The ids of the elements that describe the field."""
        return " ".join([f"{self.id}-hint"] * bool(self.hint) + [f"{self.id}-error"] * bool(self.errors))

    @property
    def rows(self) -> int:
        """The height of a text, in lines."""
        lines = self.value.count("\n") + len(self.value) // 70 + 1
        return min(max(lines, 4 if self.kind is Kind.JSON else 1), 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a field is, and what an empty one means."""

    path: str = ""
    label: str = ""
    empty: Empty = Empty.KEEP
    depth: int = 0
    new: int = 0  # level of new items
    is_item: bool = False

    def below(self, name: str, **changes: Any) -> _Place:
        given = {"label": "", "empty": Empty.KEEP, "is_item": False, **changes}
        return replace(self, path=f"{self.path}{pointer(name)}", depth=self.depth + 1, **given)


@dataclass(slots=True)
class FormBuilder:
    """Makes the fields of one form."""

    unread: Mapping[str, Unread] = field(default_factory=dict)
    left: int = field(default_factory=lambda: limits().query_fields - _OTHER_FIELDS)
    template_left: int = _MAX_TEMPLATE_FIELDS
    choices_left: int = _MAX_CHOICES
    is_full: bool = False  # the content has more values than the form may have fields

    def whole(self, content: Any, schema: Any) -> ContentField:
        """Return the form of a document. One that has too many values is one field with JSON.

        Texts that cannot be read are shown as they were sent, so their fields stay, and other parts become JSON.
        """
        self.left -= 1
        self.is_full = not self.unread and _size(content, self.left) > self.left
        if not self.is_full:
            tree = self.field(content, SchemaView.of(schema, content), _Place(label=gettext("Content")))
        if self.unread or not self.is_full:
            return tree
        return self.whole_as_json("" if content is MISSING else json_text(content))

    def whole_as_json(self, text: str) -> ContentField:
        """Return a form with one field, for the whole document as JSON."""
        return self._made(Kind.JSON, _Place(label=gettext("The whole document as JSON")), value=text, is_long=True)

    def field(self, value: Any, view: SchemaView, place: _Place) -> ContentField:
        """Return the field of a value; `MISSING` where the document has none."""
        unread = None if place.new else self.unread.get(place.path)
        if value is None or value is MISSING:
            view = _without_null(view)
        if unread is not None:
            value, kind = unread.text, unread.kind
        else:
            kind = self._kind(value, view, place)
        if value is None and kind is not Kind.JSON and kind is not Kind.CHOICE:
            value, place = MISSING, replace(place, empty=Empty.NULL)
        if kind is Kind.OBJECT:
            return self._object(value, view, place)
        if kind is Kind.LIST:
            return self._list(value, view, place)
        return self._scalar(kind, value, view, place=place, is_text=unread is not None)

    def _kind(self, value: Any, view: SchemaView, place: _Place) -> Kind:
        kind = _kind_of(value, view)
        if kind is Kind.CHOICE:
            self.choices_left -= len(_options(view))
            kind = kind if self.choices_left >= 0 else _kind_of_value(value, view)
        is_left_out = value is None or (value is MISSING and place.empty is not Empty.KEEP)
        if kind is Kind.OBJECT and not is_left_out:
            names = _names({} if value is MISSING else value, view)
            has_line_ends = any("\n" in name or "\r" in name for name in names)  # a browser changes them
            return Kind.JSON if has_line_ends or not self._takes(len(names), place) else kind
        if kind is Kind.LIST and isinstance(value, list):
            return kind if self._takes(len(value), place) else Kind.JSON
        return Kind.JSON if place.depth > _MAX_DEPTH else kind

    def _takes(self, count: int, place: _Place) -> bool:
        """Whether a list or an object gets the fields of its parts; each part has one at least."""
        if place.depth > _MAX_DEPTH:
            return False
        if place.new:
            return self.template_left > 0
        if count > self.left and not any(each.startswith(f"{place.path}/") for each in self.unread):
            self.is_full = True
            return False
        self.left -= count
        return True

    # --- fields with one control --------------------------------------------------------------------------------------

    def _scalar(
        self, kind: Kind, value: Any, view: SchemaView, *, place: _Place, is_text: bool = False
    ) -> ContentField:
        place = _with_meaning(place, value, view, kind=kind)
        if kind is Kind.CHOICE and value is MISSING and place.empty is Empty.KEEP and len(_options(view)) == 1:
            [(value, _)] = _options(view)
        shown = value if is_text else _shown(kind, value)
        is_long = kind is Kind.JSON or (kind in TEXTS and _is_long(shown, view))
        choices = _choices(kind, shown, view, empty=place.empty)
        return self._made(kind, place, view, value=shown, is_long=is_long, choices=choices)

    def _made(self, kind: Kind, place: _Place, view: SchemaView | None = None, **values: Any) -> ContentField:
        if place.new:
            self.template_left -= 1
        hint = "" if view is None or place.is_item else clean_line(view.description)
        given = {
            "name": name_of(kind, place.empty, place.path),
            "path": place.path,
            "label": place.label,
            "hint": hint,
            "is_optional": place.empty is not Empty.KEEP and not place.is_item,
            "is_item": place.is_item,
            **values,
        }
        return ContentField(kind=kind, **given)

    # --- lists and objects --------------------------------------------------------------------------------------------

    def _object(self, value: Any, view: SchemaView, place: _Place) -> ContentField:
        if value is MISSING and place.empty is not Empty.KEEP:
            return self._left_out(view, place)
        present = {} if value is MISSING else value
        made = self._made(Kind.OBJECT, replace(place, empty=Empty.KEEP), view)
        required, known = _required(view), _known(view)
        parts = []
        for name in _names(present, view):
            part = present.get(name, MISSING)
            inner = view.member(name, None if part is MISSING else part)
            label = clean_line(inner.title or humanize(name)) or name
            has_place = value is MISSING or part is not MISSING  # else the document lacks it, and an edit adds nothing
            empty = Empty.KEEP if has_place and (name in required or name not in known) else Empty.OMIT
            parts.append(self.field(part, inner, place.below(name, label=label, empty=empty)))
        is_optional = place.empty is Empty.OMIT
        return replace(made, parts=tuple(parts), is_optional=is_optional)

    def _left_out(self, view: SchemaView, place: _Place) -> ContentField:
        """Return an optional object that the document does not have, with the fields that it gets when it is added."""
        if place.empty is Empty.NULL or place.new >= _MAX_NEW or self.template_left <= 0:
            return self._scalar(Kind.JSON, MISSING, view, place=place)
        inner = self.field(MISSING, view, replace(place, empty=Empty.KEEP, new=place.new + 1))
        inner = replace(inner, is_optional=True)
        return replace(self._made(Kind.OBJECT, place, view), template=inner, is_missing=True, name="")

    def _list(self, value: Any, view: SchemaView, place: _Place) -> ContentField:
        if value is MISSING and place.empty is Empty.NULL:
            return self._scalar(Kind.JSON, MISSING, view, place=place)
        items = [] if value is MISSING else value
        is_left_out = value is MISSING and place.empty is Empty.OMIT
        made = self._made(Kind.LIST, replace(place, empty=Empty.OMIT if is_left_out else Empty.KEEP), view)
        parts = []
        for index, item in enumerate(items):
            inner = view.item(index, item)
            parts.append(self.field(item, inner, place.below(str(index), label=_item_label(item), is_item=True)))
        return replace(made, parts=tuple(parts), **self._new_item(items, view, place))

    def _new_item(self, items: list[Any], view: SchemaView, place: _Place) -> dict[str, Any]:
        if place.new >= _MAX_NEW or self.template_left <= 0:
            return {}
        token = f"{NEW}{place.new}"
        inner = view.item(len(items), MISSING)
        like = MISSING if inner.parts else _emptied(items[0] if items else "")
        below = place.below(token, is_item=True, new=place.new + 1)
        return {"template": self.field(like, inner, below), "token": token}


def with_errors(tree: ContentField, errors: Sequence[FieldError]) -> ContentField:
    """Return the form with each error at the field of its place, or at the nearest one above it."""
    places, found = set(_paths(tree)), dict[str, list[str]]()
    for each in errors:
        path = each.pointer
        while path and path not in places:
            path = path.rpartition("/")[0]
        inner = each.pointer.removeprefix(path).removeprefix("/")
        found.setdefault(path, []).append(f"{inner}: {each.detail}" if inner else each.detail)
    return _marked(tree, found)


def _paths(tree: ContentField) -> Iterator[str]:
    yield tree.path
    for part in tree.parts:
        yield from _paths(part)


def _marked(tree: ContentField, errors: Mapping[str, list[str]]) -> ContentField:
    parts = tuple(_marked(part, errors) for part in tree.parts)
    return replace(tree, parts=parts, errors=tuple(errors.get(tree.path, ())))


def _kind_of(value: Any, view: SchemaView) -> Kind:
    if _options(view) and (value is MISSING or not isinstance(value, dict | list)):
        return Kind.CHOICE
    return _kind_of_value(value, view)


def _kind_of_value(value: Any, view: SchemaView) -> Kind:
    if value is MISSING or value is None:
        return _kind_of_type(view)
    match value:
        case bool():
            return Kind.BOOLEAN
        case int() | float():
            return Kind.NUMBER
        case str():
            return _kind_of_text(value)
        case list():
            return Kind.LIST
        case _:
            return Kind.OBJECT


def _kind_of_text(text: str) -> Kind:
    """Return the kind of field that sends a text as it is: browsers have one kind of line end."""
    if "\r" not in text:
        return Kind.TEXT
    rest = text.replace("\r\n", "")
    return Kind.JSON if "\r" in rest or "\n" in rest else Kind.CRLF_TEXT


_OF_TYPE = {
    "string": Kind.TEXT,
    "number": Kind.NUMBER,
    "integer": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "array": Kind.LIST,
    "object": Kind.OBJECT,
}


def _kind_of_type(view: SchemaView) -> Kind:
    types = [each for each in _types(view) if each != "null"]
    return _OF_TYPE.get(types[0], Kind.JSON) if len(types) == 1 else Kind.JSON


def _types(view: SchemaView) -> list[str]:
    found = view.first("type")
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)]


def _options(view: SchemaView) -> list[tuple[Any, str]]:
    """Return the values among which one is chosen, with the titles that they have; empty if others are possible."""
    for branches in _alternatives(view):
        listed = [_constants(each) or _null(each) for each in branches]
        if listed and all(listed):
            return [option for each in listed for option in each]
    lists = [found for part in view.parts if (found := _constants(part))]
    return min(lists, key=len, default=[])


def _constants(schema: dict[str, Any]) -> list[tuple[Any, str]]:
    """Return the values that a subschema lists, if it lists scalars."""
    title, listed = schema.get("title"), schema.get("enum")
    found = [(each, "") for each in listed] if isinstance(listed, list) else []
    if "const" in schema:
        found = [(schema["const"], title if isinstance(title, str) else "")]
    return [] if any(isinstance(each, dict | list) for each, _ in found) else found


def _null(schema: dict[str, Any]) -> list[tuple[Any, str]]:
    return [(None, "")] if _is_null(schema) else []


def _alternatives(view: SchemaView) -> Iterator[list[dict[str, Any]]]:
    """Yield the branches of each list of alternatives: the view itself follows only one branch."""
    for part in view.parts:
        for keyword in ("oneOf", "anyOf"):
            if isinstance(part.get(keyword), list):
                yield [_resolved(view, each) for each in part[keyword]]


def _resolved(view: SchemaView, schema: Any) -> dict[str, Any]:
    for _ in range(8):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            break
        schema = resolve(view.root, schema["$ref"])
    return schema if isinstance(schema, dict) else {}


def _is_null(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "null"


def _may_be_null(view: SchemaView) -> bool:
    return "null" in _types(view) or any(_is_null(each) for branches in _alternatives(view) for each in branches)


def _without_null(view: SchemaView) -> SchemaView:
    """Return a view that follows the other branch where one of two is null: it says what a value would be."""
    for branches in _alternatives(view):
        others = [each for each in branches if not _is_null(each)]
        if len(branches) == 2 and len(others) == 1:
            parts = [each for each in view.parts if each != {"type": "null"}]
            return SchemaView(view.root, (*view.onto(others, MISSING).parts, *parts))
    return view


def _choices(kind: Kind, shown: str, view: SchemaView, *, empty: Empty) -> tuple[tuple[str, str], ...]:
    """Return the values of a list of choices, with their labels. What the document has stays in the list."""
    if kind is Kind.BOOLEAN:
        found = [("true", gettext("Yes")), ("false", gettext("No"))]
    elif kind is Kind.CHOICE:
        found = [(json_text(each), title or _choice_label(each, view)) for each, title in _options(view)]
    else:
        return ()
    if shown and shown not in dict(found):
        found.insert(0, (shown, shown))
    if empty is not Empty.KEEP or not shown:
        found.insert(0, ("", "—" if empty is not Empty.KEEP else gettext("Choose …")))
    return tuple(found)


def _choice_label(value: Any, view: SchemaView) -> str:
    return view.label_of_value(value) if isinstance(value, str) else "—" if value is None else json_text(value)


def _with_meaning(place: _Place, value: Any, view: SchemaView, *, kind: Kind) -> _Place:
    """Return the place with what an empty field means there.

    An empty text that the document has stays, and so do spaces. Where null is possible, no value is null, if the member
    has to be there.
    """
    if kind in TEXTS and isinstance(value, str) and not value.strip():
        return replace(place, empty=Empty.KEEP)
    if place.empty is Empty.KEEP and kind not in {Kind.CHOICE, *TEXTS} and _may_be_null(view):
        return replace(place, empty=Empty.NULL)
    return place


def _shown(kind: Kind, value: Any) -> str:
    if value is MISSING:
        return ""
    return str(value).replace("\r\n", "\n") if kind in TEXTS else json_text(value)


def _is_long(text: str, view: SchemaView) -> bool:
    longest = view.first("maxLength")
    is_line = view.is_plain_text or (isinstance(longest, int) and longest <= _SHORT)
    return "\n" in text or len(text) > _SHORT or not is_line


def _names(present: dict[str, Any], view: SchemaView) -> list[str]:
    """Return the names of the fields of an object: what it has, and what it may have."""
    return view.names(dict.fromkeys([*_known(view), *present]))


def _required(view: SchemaView) -> set[str]:
    lists = (part.get("required") for part in view.parts)
    return {name for each in lists if isinstance(each, list) for name in each if isinstance(name, str)}


def _known(view: SchemaView) -> dict[str, None]:
    maps = (part.get("properties") for part in view.parts)
    return {name: None for each in maps if isinstance(each, dict) for name in each}


def _item_label(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    names = (item.get(name) for name in _NAMES_OF_ITEMS)
    return next((clean_line(each)[:_SHORT] for each in names if isinstance(each, str) and each.strip()), "")


def _emptied(value: Any) -> Any:
    """Return a value of the same shape without content."""
    if isinstance(value, dict):
        return {name: _emptied(each) for name, each in value.items()}
    if isinstance(value, bool) or value is None:
        return value
    return [] if isinstance(value, list) else "" if isinstance(value, str) else 0


def _size(value: Any, limit: int) -> int:
    """Return how many fields a value takes; about `limit` is enough."""
    count, waiting = 0, [value]
    while waiting and count <= limit:
        each = waiting.pop()
        count += 1
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return count
