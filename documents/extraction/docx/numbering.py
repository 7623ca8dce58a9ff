"""Styles and numbers of paragraphs: which are headings, and what stands before items of lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from documents.extraction.archives import Archive
from documents.extraction.docx.xml import attribute, child, name_of, top_level

_MAX_LEVELS = 9
_MAX_BASES = 20
_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_SMALL_ROMAN = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_TITLE_LEVELS = {"title": 1}


@dataclass(frozen=True)
class Style:
    """A paragraph style; `level` is that of a heading, 0 for others."""

    name: str
    base: str
    level: int
    number: tuple[str, str]


@dataclass(frozen=True)
class Level:
    """A level of a list: the format of its numbers, the text around them, the first number."""

    number_format: str
    text: str
    start: int


def _integer(text: str, default: int = 0) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else default


def number_reference(properties: Element | None) -> tuple[str, str]:
    """Return the list and the level that properties of a paragraph name."""
    numbers = child(properties, "w:numPr")
    return attribute(child(numbers, "w:numId"), "w:val"), attribute(child(numbers, "w:ilvl"), "w:val")


def outline_level(properties: Element | None) -> int:
    """Return the level of a heading, from 1; 0 for other paragraphs."""
    level = _integer(attribute(child(properties, "w:outlineLvl"), "w:val"), 9) + 1
    return level if 1 <= level <= _MAX_LEVELS else 0


class Styles:
    """The paragraph styles of a document, by id."""

    def __init__(self, archive: Archive, part: str) -> None:
        self._styles: dict[str, Style] = {}
        for each in top_level(archive, part, "w:styles"):
            if name_of(each) == "w:style":
                self._styles.setdefault(attribute(each, "w:styleId"), self._style(each))

    @staticmethod
    def _style(element: Element) -> Style:
        name = attribute(child(element, "w:name"), "w:val").lower()
        heading, properties = _HEADING.match(name), child(element, "w:pPr")
        level = int(heading[1]) if heading else _TITLE_LEVELS.get(name) or outline_level(properties)
        return Style(name, attribute(child(element, "w:basedOn"), "w:val"), level, number_reference(properties))

    def _chain(self, style_id: str) -> list[Style]:
        """Return a style and the ones that it is based on, the nearest first."""
        chain: list[Style] = []
        while (style := self._styles.get(style_id)) and len(chain) < _MAX_BASES:
            chain.append(style)
            style_id = style.base
        return chain

    def level(self, style_id: str) -> int:
        """Return the level of a heading style; 0 for others."""
        return next((each.level for each in self._chain(style_id) if each.level), 0)

    def number(self, style_id: str) -> tuple[str, str]:
        """Return the list and the level that a style names."""
        return next((each.number for each in self._chain(style_id) if each.number[0]), ("", ""))


@dataclass
class Numbering:
    """The lists of a document, and how far each is counted."""

    _lists: dict[str, dict[int, Level]] = field(default_factory=dict)
    _list_of: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, archive: Archive, part: str) -> Numbering:
        """Return the lists of a part of a document."""
        found = cls()
        for each in top_level(archive, part, "w:numbering"):
            if name_of(each) == "w:abstractNum":
                levels = [level for level in each if name_of(level) == "w:lvl"]
                found._lists[attribute(each, "w:abstractNumId")] = dict(map(_level, levels))
            elif name_of(each) == "w:num":
                base = attribute(child(each, "w:abstractNumId"), "w:val")
                found._list_of[attribute(each, "w:numId")] = base
        return found

    def marker(self, number: tuple[str, str]) -> tuple[str, int] | None:
        """Count a paragraph of a list; return what stands before it (empty: nothing) and its level, from 0.

        None means that the paragraph is in no list.
        """
        base = self._list_of.get(number[0])
        index = min(max(_integer(number[1]), 0), _MAX_LEVELS - 1)
        if base is None or (level := self._lists.get(base, {}).get(index)) is None:
            return None
        counts = self._counts.setdefault(base, [0] * _MAX_LEVELS)
        counts[index] = counts[index] + 1 if counts[index] else level.start
        counts[index + 1 :] = [0] * (_MAX_LEVELS - index - 1)
        if level.number_format == "bullet":
            return "-", index
        return self._number(base, level.text, counts), index

    def _number(self, base: str, text: str, counts: list[int]) -> str:
        def counted(match: re.Match[str]) -> str:
            index = int(match[1]) - 1
            level = self._lists[base].get(index)
            return _formatted(counts[index] or (level.start if level else 1), level.number_format if level else "")

        return re.sub(r"%([1-9])", counted, text)[:40].strip()


def _level(element: Element) -> tuple[int, Level]:
    level = Level(
        number_format=attribute(child(element, "w:numFmt"), "w:val") or "decimal",
        text=attribute(child(element, "w:lvlText"), "w:val"),
        start=_integer(attribute(child(element, "w:start"), "w:val"), 1),
    )
    return _integer(attribute(element, "w:ilvl")), level


def _formatted(number: int, number_format: str) -> str:
    if number_format in ("lowerLetter", "upperLetter") and 1 <= number <= 26 * 30:
        letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letters.upper() if number_format == "upperLetter" else letters
    if number_format in ("lowerRoman", "upperRoman") and 1 <= number <= 3999:
        roman = _roman(number)
        return roman.upper() if number_format == "upperRoman" else roman
    if number_format == "none":
        return ""
    return f"{number:02d}" if number_format == "decimalZero" else str(number)


def _roman(number: int) -> str:
    text = ""
    for value, letters in (*_ROMAN, *_SMALL_ROMAN):
        text += letters * (number // value)
        number %= value
    return text
