"""What a rehearsal knows: the sentences, list items and numbers of the material that it was given."""

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
_SHORTEST = 12  # characters; below that it is a label, not a fact
_MOST_CHARACTERS = 200_000  # of one material that are read
_MOST_FACTS = 1_000
_MOST_DIGITS = 15  # of a number: such numbers are the same in every JSON reader
_MOST_WORDS = 2_000  # that may be ids
_LONGEST_WORD = 64
_NAME = 200  # characters of the names of the fields that lead to a fact
_DEEPEST = 64  # levels of nesting of a document that are read


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement of the material, and the words that tell what it is about."""

    text: str
    about: frozenset[str]
    is_answer: bool = False


def words(text: str) -> frozenset[str]:
    """Return the words that carry meaning, shortened so that singular and plural meet."""
    return frozenset(word.lower()[:6] for word in _WORD.findall(text))


@dataclass(frozen=True)
class Facts:
    """Everything that the material says, in its order."""

    materials: tuple[Material, ...]

    @cached_property
    def brief(self) -> str:
        """Return the brief's text, empty when there is no brief."""
        return next((material.text for material in self.materials if material.kind == "brief"), "")

    @cached_property
    def subject(self) -> str:
        """Return what it is all about: the first heading or line of the brief, or of the first answer without one."""
        said = self.brief or next((each.text for each in self.materials if each.kind == "answer"), "")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        heading = next((found for line in lines if (found := _heading(line))), None)
        return _plain(heading or (lines[0] if lines else "A rehearsal without a brief"))[:90] or "the brief"

    @cached_property
    def _items(self) -> tuple[Material, ...]:
        return tuple(material for material in self.materials if material.kind == "item")

    @cached_property
    def item(self) -> str:
        """Return the title of the innermost item, or the name of one without; empty when there is none."""
        if not self._items:
            return ""
        content = _parsed(self._items[-1].text)
        if not isinstance(content, dict):  # it was cut to the budget
            content = {}
        return _plain(str(content.get("title") or self._items[-1].name))[:60]

    @cached_property
    def all(self) -> tuple[Fact, ...]:
        """Return every fact once: what people said, then the item, from the inside out, the brief, the documents."""
        order = {"change_request": 0, "answer": 0, "item": 1, "brief": 2}
        inside_out = [*reversed(self._items), *(each for each in self.materials if each.kind != "item")]
        ordered = sorted(inside_out, key=lambda material: order.get(material.kind, 3))
        found: dict[str, Fact] = {}
        for fact in islice((fact for material in ordered for fact in _facts(material)), _MOST_FACTS):
            found.setdefault(fact.text, fact)
        return tuple(found.values()) or (Fact(self.subject, words(self.subject)),)

    @cached_property
    def answers(self) -> tuple[Fact, ...]:
        """Return what people answered, and what they asked to be changed."""
        return tuple(fact for fact in self.all if fact.is_answer)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Return the whole numbers of the brief, in their order."""
        found = _NUMBER.findall(self.brief[:_MOST_CHARACTERS])
        digits = (re.sub(r"\D", "", each) for each in found)
        return tuple(int(each) for each in digits if len(each) <= _MOST_DIGITS)

    @cached_property
    def open_points(self) -> tuple[str, ...]:
        """Return the brief's sentences that say that something is open."""
        brief = [material for material in self.materials if material.kind == "brief"]
        return tuple(fact.text for material in brief for fact in _facts(material) if _OPEN.search(fact.text))

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """The words of the material that may be ids, each once, in their order."""
        found = (match[0] for each in self.materials for match in _ID.finditer(each.text[:_MOST_CHARACTERS]))
        return tuple(dict.fromkeys(islice((word for word in found if len(word) <= _LONGEST_WORD), _MOST_WORDS)))

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the words of the material that a pattern describes, each once, in their order.

        A pattern that looks around or refers back takes too long for that: it describes none.
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
    for section, text in _statements(material.text[:_MOST_CHARACTERS]):
        yield Fact(text, words(f"{section} {section} {text}"))


def _parsed(text: str) -> object:
    """Return what a text in JSON says, None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter: it is nested thousands of levels deep
        return None


def _from_json(value: object, name: str, depth: int = 0) -> Iterator[Fact]:
    if isinstance(value, str):
        for text in _sentences([value]):
            yield Fact(text, words(f"{name.replace('_', ' ')} {text}"))
    elif depth < _DEEPEST:
        for key, inner in _parts(value):
            yield from _from_json(inner, f"{name} {key}"[-_NAME:] if key else name, depth + 1)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield the parts of an object by name, without its title, and those of a list under no name."""
    if isinstance(value, dict):
        yield from ((key, inner) for key, inner in value.items() if key != "title")  # it says nothing of the matter
    elif isinstance(value, list):
        yield from (("", inner) for inner in value)


def _heading(line: str) -> str | None:
    """Return the text of a heading in Markdown, None when a line is none."""
    match = _HEADING.match(line)
    return match[1].rstrip().rstrip("#").rstrip() if match else None


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, sentence or list item) of a text in Markdown."""
    section, paragraph = "", list[str]()
    for line in [*text.splitlines(), ""]:
        heading, item = _heading(line), _LIST_ITEM.match(line)
        continues = bool(line.strip()) and heading is None and item is None
        if not continues:
            yield from ((section, sentence) for sentence in _sentences([" ".join(paragraph)]))
            paragraph = []
        if heading:
            section = heading[:_NAME]
        elif item:
            paragraph = [item[1]]
        elif continues:
            paragraph.append(line.strip())


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for sentence in _SENTENCE_END.split(_plain(text)):
            if len(sentence) >= _SHORTEST:
                yield sentence


def _plain(text: str) -> str:
    """Return a text without Markdown's marks."""
    return re.sub(r"\s+", " ", re.sub(r"[*_`|]+", "", text)).strip()
