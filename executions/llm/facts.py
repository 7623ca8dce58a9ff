"""What a rehearsal knows: the sentences, list items and numbers of the material that it was given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from executions.engine.calls import Material

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“(0-9])")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(.*)$")
_WORD = re.compile(r"[a-zA-ZÀ-ÿ]{4,}")
_OPEN = re.compile(
    r"\b(open|undecided|not (?:yet )?(?:decided|settled|clear|known)|unclear|tbd|to be decided)\b|\?", re.I
)
_SHORTEST = 12  # characters; below that it is a label, not a fact


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
        heading = next((match[1] for line in lines if (match := _HEADING.match(line))), None)
        return _plain(heading or (lines[0] if lines else "A rehearsal without a brief"))[:90]

    @cached_property
    def _items(self) -> tuple[Material, ...]:
        return tuple(material for material in self.materials if material.kind == "item")

    @cached_property
    def item(self) -> str:
        """Return the title of the innermost item, or the name of one without; empty when there is none."""
        if not self._items:
            return ""
        try:
            content = json.loads(self._items[-1].text)
        except ValueError:  # it was cut to the budget
            content = {}
        return _plain(str(content.get("title") or self._items[-1].name))[:60]

    @cached_property
    def all(self) -> tuple[Fact, ...]:
        """Return every fact once: what people said, then the item, from the inside out, the brief, the documents."""
        order = {"change_request": 0, "answer": 0, "item": 1, "brief": 2}
        inside_out = [*reversed(self._items), *(each for each in self.materials if each.kind != "item")]
        ordered = sorted(inside_out, key=lambda material: order.get(material.kind, 3))
        found: dict[str, Fact] = {}
        for fact in (fact for material in ordered for fact in _facts(material)):
            found.setdefault(fact.text, fact)
        return tuple(found.values()) or (Fact(self.subject, words(self.subject)),)

    @cached_property
    def answers(self) -> tuple[Fact, ...]:
        """Return what people answered, and what they asked to be changed."""
        return tuple(fact for fact in self.all if fact.is_answer)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Return the whole numbers of the brief, in their order."""
        found = re.findall(r"(?<![\w.,])\d{1,3}(?:[,  ]\d{3})+(?![\w])|(?<![\w.,])\d+(?![\w])", self.brief)
        return tuple(int(re.sub(r"\D", "", each)) for each in found)

    @cached_property
    def open_points(self) -> tuple[str, ...]:
        """Return the brief's sentences that say that something is open."""
        brief = [material for material in self.materials if material.kind == "brief"]
        return tuple(fact.text for material in brief for fact in _facts(material) if _OPEN.search(fact.text))

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the words of the material that a pattern describes, each once, in their order."""
        unanchored = pattern.removeprefix("^").removesuffix("$")
        text = "\n".join(material.text for material in self.materials)
        return tuple(dict.fromkeys(match[0] for match in re.finditer(rf"\b(?:{unanchored})\b", text)))


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
    try:
        parsed = json.loads(material.text)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict | list):
        yield from _from_json(parsed, "")
        return
    for section, text in _statements(material.text):
        yield Fact(text, words(f"{section} {section} {text}"))


def _from_json(value: object, name: str) -> Iterator[Fact]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "title":  # says which document it is, nothing of the matter
                yield from _from_json(inner, f"{name} {key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _from_json(inner, name)
    elif isinstance(value, str):
        for text in _sentences([value]):
            yield Fact(text, words(f"{name.replace('_', ' ')} {text}"))


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, sentence or list item) of a text in Markdown."""
    section, paragraph = "", list[str]()
    for line in [*text.splitlines(), ""]:
        heading, item = _HEADING.match(line), _LIST_ITEM.match(line)
        continues = bool(line.strip()) and heading is None and item is None
        if not continues:
            yield from ((section, sentence) for sentence in _sentences([" ".join(paragraph)]))
            paragraph = []
        if heading:
            section = heading[1]
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
