"""Which characters the fonts of PDF files can show. Those are the fonts that the `typst` package has in itself.

`glyphs.json` lists the code points above U+009F of each font, as hexadecimal ranges.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

_LISTED = 40  # characters that a note names
MARK = "□"  # stands for a character without a glyph
#: The fonts in the order in which they are tried.
FAMILIES = ("Libertinus Serif", "New Computer Modern", "DejaVu Sans Mono", "New Computer Modern Math")
#: They choose between pictures and text, or mark the begin of a file; no reader misses them.
_SELECTORS = re.compile("[\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]")
#: They are shown by what they do.
_INVISIBLE = "\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"


class GlyphCheck:
    """Replaces what the fonts cannot show, and counts it."""

    def __init__(self) -> None:
        self.missing: Counter[str] = Counter()

    def shown(self, text: str, *, bold: bool = False, italic: bool = False) -> str:
        """Return a text with `MARK` for each character that has no glyph in a style."""
        if text.isascii():
            return text
        faces = _faces(" ".join(["bold"] * bold + ["italic"] * italic) or "regular")
        text = _SELECTORS.sub("", text)
        if any(face.fullmatch(text) for face in faces):
            return text
        return "".join(self._cluster(each, faces) for each in _clusters(text))

    def _cluster(self, cluster: str, faces: tuple[re.Pattern[str], ...]) -> str:
        """Return a character with its marks, as far as one font has all of it."""
        composed = unicodedata.normalize("NFC", cluster)
        for candidate in (cluster, composed):
            if any(face.fullmatch(candidate) for face in faces):
                return candidate
        if len(composed) > 1:
            return self._cluster(composed[0], faces) + "".join(self._mark(each) for each in composed[1:])
        return self._mark(cluster)

    def _mark(self, letter: str) -> str:
        self.missing[letter] += 1
        return MARK


def _clusters(text: str) -> list[str]:
    found: list[str] = []
    for letter in text:
        if found and unicodedata.category(letter).startswith("M") and not found[-1].isspace():
            found[-1] += letter
        else:
            found.append(letter)
    return found


@cache
def faces_of(style: str) -> tuple[str, ...]:
    """Return the ranges of each font in a style, as they are within a character class of a regular expression."""
    coverage = json.loads(Path(__file__).with_name("glyphs.json").read_text(encoding="utf-8"))
    return tuple(
        "".join("-".join(f"\\U{int(end, 16):08x}" for end in part.split("-")) for part in coverage[name][style].split())
        for name in FAMILIES
    )


@cache
def _faces(style: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(f"[\\t\\n -~{_INVISIBLE}{ranges}]*") for ranges in faces_of(style))


def listed_characters(missing: Counter[str]) -> str:
    """Return the note about characters without a glyph; empty when there are none."""
    if not missing:
        return ""
    total = missing.total()
    characters = "1 character" if total == 1 else f"{total:,} characters"
    names = [
        f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}" + (f" ({count:,} times)" if count > 1 else "")
        for letter, count in sorted(missing.items(), key=lambda item: (-item[1], item[0]))[:_LISTED]
    ]
    more = len(missing) - len(names)
    ending = f" and {more:,} others" if more > 0 else ""
    shown = f"The fonts of this file could not show {characters}; □ stands in the place of each: "
    return f"{shown}{', '.join(names)}{ending}."
