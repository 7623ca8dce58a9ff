"""Markdown templates of workflows: placeholders by pointer, and `each` over lists; nothing else.

`{{ /epics/0/title }}` is a value of the document. `{{#each /epics}} … {{ title }} … {{/each}}` repeats its body for
each item, with pointers relative to the item; `{{ . }}` is the item. A value never becomes markup of the template: it
is put in after the template was parsed. A text is Markdown within its place; a placeholder alone in its paragraph may
bring whole blocks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from documents.rendering.content import markdown_text
from documents.rendering.content.blocks import is_scalar, list_runs, scalar_runs, value_blocks
from documents.rendering.content.schema_view import SchemaView
from documents.rendering.content.template_check import Possible
from documents.rendering.content.tree import (
    EMPTY,
    MAX_LEVEL,
    Block,
    Blocks,
    CodeBlock,
    Heading,
    ListBlock,
    Paragraph,
    Quote,
    Run,
    Runs,
    Table,
    clean,
    merged,
    plain,
    text_of,
)
from documents.rendering.errors import RenderingLimitExceeded, TemplateError

MAX_CHARACTERS = 64 * 1024  # of a template
MAX_EACHS = 5  # within each other
_MAX_EXPANDED = 500_000  # characters of the template's own text in the result
_MAX_VALUES = 100_000
_MAX_SHOWN = 4_000_000  # characters of all values, each as often as it is shown
_MAX_TURNS = 200_000  # of all repetitions, and steps of all pointers
_OPEN, _CLOSE = "\ue000", "\ue001"  # around the number of a value in the expanded text
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_MARKED = re.compile(f"{_OPEN}([0-9]{{1,9}}){_CLOSE}")
_MARKED_IN_ADDRESS = re.compile(f"{quote(_OPEN)}([0-9]{{1,9}}){quote(_CLOSE)}")
#: What Markdown, or an address, turns into one of the characters around numbers.
_DISGUISED = re.compile(r"&#(?:x0*e00[01]|0*5734[45]);?|%ee%80%8[01]", re.IGNORECASE)
_IN_WHOLE_ADDRESS = "%/:?#[]@!$&'()*+,;=~"  # what stays as it is of a value with which an address begins
_IN_ADDRESS = "/:@!$,;~"  # what stays as it is of another value in an address
_POINTER = re.compile(r"\.|/?[^\s{}#/]+(?:/[^\s{}#/]+)*")
#: A line with nothing but `{{#each …}}` or `{{/each}}` leaves no line behind.
_ALONE = re.compile(r"^[ \t]*(\{\{[ \t]*(?:#each[ \t][^{}\n]*|/each[ \t]*)\}\})[ \t]*(?:\n|\Z)", re.MULTILINE)


@dataclass(frozen=True)
class Value:
    """A placeholder."""

    pointer: str
    line: int


@dataclass(frozen=True)
class Each:
    """A part that is repeated for each item of a list."""

    pointer: str
    line: int
    body: tuple[Part, ...]


Part: TypeAlias = str | Value | Each


def parse(template: str) -> tuple[Part, ...]:
    """Return the parts of a template.

    Raises:
        TemplateError: it is too long, or has a tag that is unknown or not closed.
    """
    if len(template) > MAX_CHARACTERS:
        raise TemplateError(0, f"A template has at most {MAX_CHARACTERS:,} characters.")
    text = clean(template)
    for mark in (_OPEN, _CLOSE):
        if mark in text:
            raise TemplateError(text.count("\n", 0, text.index(mark)) + 1, f"A template cannot have U+{ord(mark):04X}.")
    if (found := _DISGUISED.search(text)) is not None:
        raise TemplateError(text.count("\n", 0, found.start()) + 1, f"A template cannot have {found[0]}.")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._alone = {found.start(1): (found.start(), found.end()) for found in _ALONE.finditer(text)}
        self._open: list[tuple[Each, list[Part]]] = []  # what surrounds the current part
        self._parts: list[Part] = []

    def parse(self) -> tuple[Part, ...]:
        at = 0
        for tag in _TAG.finditer(self._text):
            start, end = self._alone.get(tag.start(), tag.span())
            self._literal(at, max(at, start))
            self._tag(tag[1].strip(), self._line(tag.start()))
            at = end
        self._literal(at, len(self._text))
        if self._open:
            raise TemplateError(self._open[-1][0].line, "{{#each}} has no {{/each}}.")
        return tuple(self._parts)

    def _literal(self, start: int, end: int) -> None:
        text = self._text[start:end]
        if "{{" in text:
            raise TemplateError(self._line(start + text.index("{{")), "{{ has no }}.")
        if text:
            self._parts.append(text)

    def _line(self, index: int) -> int:
        return self._text.count("\n", 0, index) + 1

    def _tag(self, tag: str, line: int) -> None:
        if tag == "/each":
            if not self._open:
                raise TemplateError(line, "{{/each}} has no {{#each}}.")
            each, parts = self._open.pop()
            parts.append(replace(each, body=tuple(self._parts)))
            self._parts = parts
        elif tag.startswith("#each "):
            if len(self._open) >= MAX_EACHS:
                raise TemplateError(line, f"At most {MAX_EACHS} {{{{#each}}}} can be within each other.")
            self._open.append((Each(_pointer(tag.removeprefix("#each ").strip(), line), line, ()), self._parts))
            self._parts = []
        else:
            self._parts.append(Value(_pointer(tag, line), line))


def _pointer(text: str, line: int) -> str:
    if not _POINTER.fullmatch(text):
        raise TemplateError(line, f"{{{{ {text:.80} }}}} is no pointer such as /epics/0/title, title or a dot.")
    return text


# --- checking ---------------------------------------------------------------------------------------------------------


def check(template: str, schema: Any) -> list[TemplateError]:
    """Return the errors of a template for documents of a schema.

    They are those of its text, pointers to what cannot be, and objects within a line.
    """
    try:
        parts = parse(template)
    except TemplateError as error:
        return [error]
    root = Possible.root(schema)
    return list(_unknown(parts, root, root)) or list(_in_lines(parts, root))


def _unknown(parts: Sequence[Part], root: Possible, item: Possible) -> Iterator[TemplateError]:
    for part in parts:
        if isinstance(part, str):
            continue
        found = root.at(part.pointer, item)
        if found is None:
            yield TemplateError(part.line, f"{part.pointer}: the schema has no such field.")
        elif isinstance(part, Each):
            items = found.items()
            if items is None:
                yield TemplateError(part.line, f"{part.pointer}: {{{{#each}}}} needs a list.")
            else:
                yield from _unknown(part.body, root, items)


def _in_lines(parts: Sequence[Part], root: Possible) -> Iterator[TemplateError]:
    """Yield the placeholders within a line whose values need a paragraph."""
    texts: list[str] = []
    values: list[_Found] = []
    for part, possible in _flat(parts, root, root):
        if isinstance(part, str):
            texts.append(part)
        else:
            texts.append(f"{_OPEN}{len(values)}{_CLOSE}")
            values.append(_Found((part, possible), part.pointer, SchemaView(None)))
    places = _Places(values, level=1, prefix="")
    places.blocks(markdown_text.blocks_of("".join(texts), level=1, anchor="~t", placeholder=_OPEN))
    for part, possible in places.within:
        if possible.needs_paragraph:
            yield TemplateError(part.line, f"{part.pointer}: an object needs a paragraph of its own.")


def _flat(parts: Sequence[Part], root: Possible, item: Possible) -> Iterator[tuple[str | Value, Possible]]:
    """Yield texts and placeholders with what their values can be, each repeated part once."""
    for part in parts:
        if isinstance(part, str):
            yield part, root
        elif (found := root.at(part.pointer, item)) is not None:
            if isinstance(part, Value):
                yield part, found
            else:
                yield from _flat(part.body, root, found.items() or found)


# --- rendering --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A value of the document, its place, and what the schema says about it."""

    value: Any
    pointer: str
    view: SchemaView
    is_missing: bool = False

    def part(self, name: str) -> _Found:
        """Return a member of an object, or an item of a list."""
        pointer = f"{self.pointer}/{name}"
        key = name.replace("~1", "/").replace("~0", "~")
        if isinstance(self.value, dict) and key in self.value:
            return _Found(self.value[key], pointer, self.view.member(key, self.value[key]))
        if isinstance(self.value, list) and key.isascii() and key.isdecimal() and int(key[:9]) < len(self.value):
            value = self.value[int(key[:9])]
            return _Found(value, pointer, self.view.item(int(key[:9]), value))
        return _Found(None, pointer, SchemaView(None), is_missing=True)


def render_template(template: str, content: Any, schema: Any, *, level: int = 1, prefix: str = "") -> Blocks:
    """Return the blocks of a document by a template. What the document lacks is a dash, and no item of a list.

    Raises:
        TemplateError: the template is faulty.
        RenderingLimitExceeded: the result is too long.
    """
    parts = parse(template)
    expansion = _Expansion(_Found(content, "", SchemaView.of(schema, content)))
    expansion.expand(parts, expansion.root)
    text, anchor = "".join(expansion.texts), f"{prefix}.~t" if prefix else "~t"
    blocks = markdown_text.blocks_of(text, level=level, anchor=anchor, placeholder=_OPEN)
    return tuple(_Filler(expansion.values, level=level, prefix=prefix).blocks(blocks))


class _Expansion:
    """The text of a template with its parts repeated, and numbered marks for the values."""

    def __init__(self, root: _Found) -> None:
        self.root = root
        self.texts: list[str] = []
        self.values: list[_Found] = []
        self._characters = 0
        self._shown = 0
        self._turns = 0
        self._sizes: dict[str, int] = {}  # of values, by pointer

    def expand(self, parts: Sequence[Part], item: _Found) -> None:
        for part in parts:
            if isinstance(part, str):
                self._write(part)
            elif isinstance(part, Value):
                self._write(f"{_OPEN}{len(self.values)}{_CLOSE}")
                self._show(self._find(part.pointer, item))
            else:
                found = self._find(part.pointer, item)
                for index in range(len(found.value) if isinstance(found.value, list) else 0):
                    self.expand(part.body, self._part(found, str(index)))

    def _write(self, text: str) -> None:
        self._characters += len(text)
        self._check()
        self.texts.append(text)

    def _show(self, found: _Found) -> None:
        if found.pointer not in self._sizes:
            self._sizes[found.pointer] = len(json.dumps(found.value, ensure_ascii=False))
        self._shown += self._sizes[found.pointer]
        self.values.append(found)
        self._check()

    def _part(self, found: _Found, name: str) -> _Found:
        self._turns += 1
        self._check()
        return found.part(name)

    def _check(self) -> None:
        is_too_long = self._characters > _MAX_EXPANDED or self._shown > _MAX_SHOWN
        if is_too_long or len(self.values) > _MAX_VALUES or self._turns > _MAX_TURNS:
            raise RenderingLimitExceeded("The template makes a document that is too long.")

    def _find(self, pointer: str, item: _Found) -> _Found:
        found = self.root if pointer.startswith("/") else item
        for name in pointer.lstrip("/").split("/") if pointer != "." else ():
            found = self._part(found, name)
        return found


class _Filler:
    """Puts values in the place of their marks."""

    def __init__(self, values: Sequence[_Found], *, level: int, prefix: str) -> None:
        self._values = values
        self._level = level
        self._prefix = prefix

    def blocks(self, blocks: Sequence[Block]) -> list[Block]:
        found: list[Block] = []
        for block in blocks:
            if isinstance(block, Heading):
                self._level = min(block.level + 1, MAX_LEVEL)
            alone = self._alone(block)
            found += self._whole(alone) if alone is not None else [self._filled(block)]
        return found

    def _alone(self, block: Block) -> _Found | None:
        """Return the value of a paragraph that is nothing but its mark."""
        if not isinstance(block, Paragraph) or len(block.text) != 1 or block.text[0][1:] != Run("")[1:]:
            return None
        mark = _MARKED.fullmatch(block.text[0].text)
        return self._value(mark[1]) if mark else None

    def _value(self, number: str) -> _Found | None:
        """Return the value of a mark; None: the number is that of no value."""
        return self._values[int(number)] if int(number) < len(self._values) else None

    def _whole(self, found: _Found) -> Blocks:
        if found.is_missing or (is_scalar(found.value) and not isinstance(found.value, str)):
            return (Paragraph(self._runs(found)),)
        return value_blocks(found.value, found.view, pointer=found.pointer, level=self._level, prefix=self._prefix)

    def _runs(self, found: _Found) -> Runs:
        if is_scalar(found.value):
            return scalar_runs(found.value, found.view)
        if isinstance(found.value, list) and all(map(is_scalar, found.value)):
            return list_runs(found.value, found.view)
        raise TemplateError(0, f"{found.pointer}: an object needs a paragraph of its own.")

    def _filled(self, block: Block) -> Block:
        match block:
            case Heading() | Paragraph():
                return replace(block, text=self._inline(block.text))
            case ListBlock():
                return replace(block, items=tuple(tuple(self._nested(item)) for item in block.items))
            case Quote():
                return Quote(tuple(self._nested(block.blocks)))
            case Table():
                header, *rows = (tuple(map(self._inline, row)) for row in (block.header, *block.rows))
                return Table(header, tuple(rows), block.aligns)
            case CodeBlock():
                return replace(block, text=self._letters(block.text))
        return block

    def _nested(self, blocks: Sequence[Block]) -> list[Block]:
        """Return blocks within a list or a quote, where no headings may be."""
        found: list[Block] = []
        for block in blocks:
            alone = self._alone(block)
            if alone is not None and isinstance(alone.value, str) and not alone.view.is_plain_text:
                found += markdown_text.blocks_of(alone.value, headings=False) or [Paragraph(plain(EMPTY))]
            else:
                found.append(self._filled(block))
        return found

    def _inline(self, runs: Runs) -> Runs:
        found: list[Run] = []
        for run in runs:
            run = self._with_address(run)
            for index, piece in enumerate(_MARKED.split(run.text)):
                value = self._value(piece) if index % 2 else None
                if value is None:
                    found.append(run._replace(text=piece))
                elif run.code:
                    found.append(run._replace(text=text_of(self._runs(value))))
                else:
                    found += [_within(run, each) for each in self._runs(value)]
        return merged(found)

    def _letters(self, text: str) -> str:
        return _MARKED.sub(lambda mark: self._text(mark[1]), text)

    def _text(self, number: str) -> str:
        value = self._value(number)
        return "" if value is None else text_of(self._runs(value))

    def _with_address(self, run: Run) -> Run:
        """Return a run whose link leads to a value; an address that is not allowed is shown after its text."""
        if not _MARKED_IN_ADDRESS.search(f"{run.href} {run.text}"):
            return run
        text = _MARKED_IN_ADDRESS.sub(lambda mark: f"{_OPEN}{mark[1]}{_CLOSE}", run.text)  # an image shows its address
        address = _MARKED_IN_ADDRESS.sub(self._in_address, run.href)
        if not address or markdown_text.is_safe_link(address):
            return run._replace(text=text, href=address)
        return run._replace(text=f"{text} ({unquote(run.href)})", href="")

    def _in_address(self, mark: re.Match[str]) -> str:
        """Return a value for its place in an address: it adds no part to the address, except at its begin."""
        return quote(self._text(mark[1]), safe=_IN_ADDRESS if mark.start() else _IN_WHOLE_ADDRESS)


class _Places(_Filler):
    """Finds the placeholders within a line, in place of filling them."""

    def __init__(self, values: Sequence[_Found], *, level: int, prefix: str) -> None:
        super().__init__(values, level=level, prefix=prefix)
        self.within: list[tuple[Value, Possible]] = []

    def _whole(self, found: _Found) -> Blocks:
        return ()

    def _runs(self, found: _Found) -> Runs:
        self.within.append(found.value)
        return ()


def _within(outer: Run, inner: Run) -> Run:
    """Return a run of a value in the style of its place."""
    return inner._replace(
        bold=outer.bold or inner.bold,
        italic=outer.italic or inner.italic,
        strike=outer.strike or inner.strike,
        href=outer.href or inner.href,
    )
