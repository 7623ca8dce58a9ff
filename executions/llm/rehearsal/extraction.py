"""Extraction of facts from the materials: sentences, list items and numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from executions.engine.domain.calls import Material
from workflows.json_schema.validation import is_linear, matches

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“(0-9])")
_HEADING = re.compile(r"^#{1,6}\s+(.*)$")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(.*)$")
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:[,  ]\d{3}){1,5}(?![\w])|(?<![\w.,])\d+(?![\w])")
_ID = re.compile(r"\w+(?:-\w+)*")
_WORD = re.compile(r"[a-zA-ZÀ-ÿ]{4,}")
_OPEN = re.compile(
    r"\b(open|undecided|not (?:yet )?(?:decided|settled|clear|known)|unclear|tbd|to be decided)\b|\?", re.I
)
_MIN_CHARACTERS = 12  # shorter texts are labels, not facts
_MAX_CHARACTERS = 200_000  # of one material that are read
_MAX_FACTS = 1_000
_MAX_DIGITS = 15  # digits of a number that every JSON reader represents exactly
_MAX_WORDS = 2_000  # candidates for ids
_MAX_WORD = 64
_MAX_NAME = 200  # characters of the field names that lead to a fact
_MAX_DEPTH = 64  # nesting levels of a document that are read


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement of the material, with the words that describe its subject."""

    text: str
    about: frozenset[str]
    is_answer: bool = False


def words(text: str) -> frozenset[str]:
    """Return the significant words, shortened so that singular and plural are equal."""
    return frozenset(word.lower()[:6] for word in _WORD.findall(text))


@dataclass(frozen=True)
class Facts:
    """All facts of the materials, in order."""

    materials: tuple[Material, ...]

    @cached_property
    def brief(self) -> str:
        """Return the brief's text, empty without a brief."""
        return next((material.text for material in self.materials if material.kind == "brief"), "")

    @cached_property
    def subject(self) -> str:
        """Return the subject: the first heading or line of the brief, or of the first answer if there is no brief."""
        source = self.brief or next((material.text for material in self.materials if material.kind == "answer"), "")
        lines = [line.strip() for line in source.splitlines() if line.strip()]
        heading = next((found for line in lines if (found := _heading(line))), None)
        return _plain(heading or (lines[0] if lines else "A rehearsal without a brief"))[:90] or "the brief"

    @cached_property
    def _items(self) -> tuple[Material, ...]:
        return tuple(material for material in self.materials if material.kind == "item")

    @cached_property
    def item(self) -> str:
        """Return the title of the innermost item, or its name; empty without an item."""
        if not self._items:
            return ""
        content = _parsed(self._items[-1].text)
        if not isinstance(content, dict):  # it was shortened to the budget
            content = {}
        return _plain(str(content.get("title") or self._items[-1].name))[:60]

    @cached_property
    def all(self) -> tuple[Fact, ...]:
        """Return every fact once: people's input first, then items from the inside out, the brief, the documents."""
        order = {"change_request": 0, "answer": 0, "item": 1, "brief": 2}
        inside_out = [*reversed(self._items), *(material for material in self.materials if material.kind != "item")]
        ordered = sorted(inside_out, key=lambda material: order.get(material.kind, 3))
        facts: dict[str, Fact] = {}
        for fact in islice((fact for material in ordered for fact in _facts(material)), _MAX_FACTS):
            facts.setdefault(fact.text, fact)
        return tuple(facts.values()) or (Fact(self.subject, words(self.subject)),)

    @cached_property
    def answers(self) -> tuple[Fact, ...]:
        """Return the facts from answers and change requests."""
        return tuple(fact for fact in self.all if fact.is_answer)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Return the whole numbers of the brief, in order."""
        found = _NUMBER.findall(self.brief[:_MAX_CHARACTERS])
        digits = (re.sub(r"\D", "", number) for number in found)
        return tuple(int(number) for number in digits if len(number) <= _MAX_DIGITS)

    @cached_property
    def open_points(self) -> tuple[str, ...]:
        """Return the brief's sentences that mention something open."""
        brief = [material for material in self.materials if material.kind == "brief"]
        return tuple(fact.text for material in brief for fact in _facts(material) if _OPEN.search(fact.text))

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """The distinct words of the materials that may be ids, in order."""
        found = (match[0] for material in self.materials for match in _ID.finditer(material.text[:_MAX_CHARACTERS]))
        return tuple(dict.fromkeys(islice((word for word in found if len(word) <= _MAX_WORD), _MAX_WORDS)))

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the distinct words of the materials that match a pattern, in order.

        Patterns with lookaround or backreferences take too long; they match nothing here.
        """
        return tuple(word for word in self._words if matches(pattern, word)) if is_linear(pattern) else ()


def _facts(material: Material) -> Iterator[Fact]:
    if material.kind == "change_request":
        yield Fact(_plain(material.text), words(material.text), is_answer=True)
        return
    if material.kind == "unanswered":
        return
    if material.kind == "answer":
        quoted = re.search("“(.+)”", material.name)
        about = f"{quoted[1]} Decided" if quoted else material.name.rstrip("?:. ")
        text = f"{about}: {material.text}"
        yield Fact(_plain(text), words(text), is_answer=True)
        return
    parsed = _parsed(material.text)
    if isinstance(parsed, dict | list):
        yield from _from_json(parsed, "")
        return
    for section, text in _statements(material.text[:_MAX_CHARACTERS]):
        yield Fact(text, words(f"{section} {section} {text}"))


def _parsed(text: str) -> object:
    """Return the value of a JSON text, None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: nested thousands of levels deep
        return None


def _from_json(value: object, name: str, depth: int = 0) -> Iterator[Fact]:
    if isinstance(value, str):
        for text in _sentences([value]):
            yield Fact(text, words(f"{name.replace('_', ' ')} {text}"))
    elif depth < _MAX_DEPTH:
        for key, inner in _children(value):
            yield from _from_json(inner, f"{name} {key}"[-_MAX_NAME:] if key else name, depth + 1)


def _children(value: object) -> Iterator[tuple[str, object]]:
    """Yield the members of an object by name, without its title, and the items of a list without a name."""
    if isinstance(value, dict):
        yield from ((key, inner) for key, inner in value.items() if key != "title")  # the title contains no fact
    elif isinstance(value, list):
        yield from (("", inner) for inner in value)


def _heading(line: str) -> str | None:
    """Return the text of a Markdown heading, None if the line is not a heading."""
    match = _HEADING.match(line)
    return match[1].rstrip().rstrip("#").rstrip() if match else None


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, sentence or list item) from a Markdown text."""
    section, paragraph = "", list[str]()
    for line in [*text.splitlines(), ""]:
        heading, item = _heading(line), _LIST_ITEM.match(line)
        continues = bool(line.strip()) and heading is None and item is None
        if not continues:
            yield from ((section, sentence) for sentence in _sentences([" ".join(paragraph)]))
            paragraph = []
        if heading:
            section = heading[:_MAX_NAME]
        elif item:
            paragraph = [item[1]]
        elif continues:
            paragraph.append(line.strip())


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for sentence in _SENTENCE_END.split(_plain(text)):
            if len(sentence) >= _MIN_CHARACTERS:
                yield sentence


def _plain(text: str) -> str:
    """Return the text without Markdown markup."""
    return re.sub(r"\s+", " ", re.sub(r"[*_`|]+", "", text)).strip()
