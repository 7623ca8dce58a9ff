"""Citations of places in files: `brief.pdf#page=7`, `"annual report.pdf#page=7"`, `costs.xlsx#sheet=Costs&rows=3-9`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_MAX_NAME = 255
_MAX_VALUE = 300
_MAX_LISTED = 10

_KEYS = "page|sheet|heading|paragraphs?|rows?|lines?"
_MARK = re.compile(rf"#(?:{_KEYS})=")
_END_OF_ANCHOR = re.compile(r"[\s\"'`“”„<>()\[\]{},;|]")
_LAST_PUNCTUATION = ".!?:…"
#: What ends a name without quotation marks, seen from its end.
_BARE_NAME = re.compile(r"[^\s\"'`“”„<>()\[\]{},;|#/\\]+\Z")
_QUOTES = {'"': '"', "“": "”", "„": "“", "'": "'", "`": "`", "<": ">"}
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_RANGED = {"rows": "row", "lines": "line", "paragraphs": "paragraph"}
_SINGULAR = {f"{each}s": each for each in _RANGED.values()}


@dataclass(frozen=True)
class Citation:
    """A place in a file as a text names it: the file's name, and the anchor without `#`."""

    name: str
    anchor: str

    def __str__(self) -> str:
        """Return the citation as it is written."""
        return f"{self.name}#{self.anchor}"


def find_citations(text: str, names: Collection[str] = ()) -> list[Citation]:
    """Return the citations of a text, each once, in order.

    Args:
        text: any text.
        names: names of files that may be cited; a name with spaces is found by it without quotation marks too.
    """
    known = sorted({_folded(each): each for each in names}.items(), key=lambda each: -len(each[0]))
    found = []
    for mark in _MARK.finditer(text):
        before = text[max(0, mark.start() - _MAX_NAME) : mark.start()]
        after = text[mark.start() + 1 : mark.end() + _MAX_VALUE]
        if citation := _citation(before, after, known):
            found.append(citation)
    return list(dict.fromkeys(found))


def _citation(before: str, after: str, known: list[tuple[str, str]]) -> Citation | None:
    folded = _folded(before)
    name = next((name for end, name in known if folded.endswith(end) and _is_whole(folded, end)), None)
    quoted = _quoted(before, after)
    if quoted and (name is None or _folded(quoted.name) == _folded(name)):
        return quoted
    if name is None:
        bare = _BARE_NAME.search(before)
        if bare is None or "." not in bare[0]:
            return None
        name = bare[0]
    elif quoted and quoted.name.endswith(name):
        return Citation(name, quoted.anchor)
    return Citation(name, _bare_anchor(after))


def _is_whole(folded: str, end: str) -> bool:
    """Return whether a known name at the end of a text is not the end of a longer word."""
    start = len(folded) - len(end)
    return start == 0 or not (folded[start - 1].isalnum() or folded[start - 1] in "-_.")


def _quoted(before: str, after: str) -> Citation | None:
    """Return a citation that stands between quotation marks as a whole."""
    place, opening = max((before.rfind(each), each) for each in _QUOTES)
    if place < 0:
        return None
    name = before[place + 1 :]
    end = after.find(_QUOTES[opening])
    if end < 0 or "\n" in name or "\n" in after[:end] or "." not in name or name != name.strip():
        return None
    return Citation(name, after[:end].strip())


def _bare_anchor(after: str) -> str:
    end = _END_OF_ANCHOR.search(after)
    return after[: end.start() if end else None].rstrip(_LAST_PUNCTUATION)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold()


def check_citation(citation: Citation, files: Mapping[str, Collection[str]]) -> str | None:
    """Return what is wrong with a citation as a sentence; None when the place exists.

    Args:
        citation: the place.
        files: the anchors of each file, by the file's name.
    """
    name = next((each for each in files if _folded(each) == _folded(citation.name)), None)
    if name is None:
        return f"No file is named {citation.name}. {_listed(files)}"
    wanted, anchors = _parsed(citation.anchor), [_parsed(each) for each in files[name]]
    if any(_covers(each, wanted) for each in anchors):
        return None
    if not anchors:
        return f"{name} has no places that can be cited."
    return _fault(name, wanted, anchors)


def _listed(names: Collection[str]) -> str:
    if not names:
        return "There are no files."
    some = ", ".join(list(names)[:_MAX_LISTED])
    return f"The files are {some}{', …' if len(names) > _MAX_LISTED else ''}."


def _parsed(anchor: str) -> dict[str, str]:
    """Return the keys and values of an anchor; keys in the singular."""
    parts = (each.partition("=") for each in anchor.split("&"))
    return {_SINGULAR.get(key, key): unquote(value).strip() for key, _, value in parts}


def _covers(existing: dict[str, str], wanted: dict[str, str]) -> bool:
    """Return whether an anchor of a file contains the wanted place; a whole sheet contains its rows."""
    for key, value in wanted.items():
        if key in _RANGED.values():
            if key in existing and not _within(existing[key], value):
                return False
            if key not in existing and "sheet" not in existing:
                return False
        elif _folded(existing.get(key, "")) != _folded(value):
            return False
    return True


def _within(existing: str, wanted: str) -> bool:
    """Return whether two ranges of numbers overlap, as a citation may reach over two segments."""
    outer, inner = _RANGE.fullmatch(existing), _RANGE.fullmatch(wanted)
    if outer is None or inner is None:
        return False
    first, last = int(inner[1]), int(inner[2] or inner[1])
    return first <= last and int(outer[1]) <= last and first <= int(outer[2] or outer[1])


def _fault(name: str, wanted: dict[str, str], anchors: list[dict[str, str]]) -> str:
    """Return what is wrong with the first part of an anchor that no anchor of the file has."""
    place = name
    for key, value in wanted.items():
        fitting = [each for each in anchors if _covers(each, {key: value})]
        if not fitting:
            return _fault_of_part(place, key, value, anchors=anchors)
        anchors, place = fitting, f"{place} on the {key} “{value}”"
    return f"{name} has no such place."


def _fault_of_part(place: str, key: str, value: str, *, anchors: list[dict[str, str]]) -> str:
    values = list(dict.fromkeys(each[key] for each in anchors if key in each))
    if not values:
        kind = next(iter(anchors[0]))
        return f"{place} has no {key}s; a place in it is written {place}#{kind}={anchors[0][kind]}."
    if key == "page" or key in _RANGED.values():
        number = len(values) if key == "page" else max(int(each.rpartition("-")[2]) for each in values)
        return f"{place} has {number} {key}{'s' if number > 1 else ''}; {key} {value} does not exist."
    some = ", ".join(values[:_MAX_LISTED]) + (", …" if len(values) > _MAX_LISTED else "")
    return f"{place} has no {key} “{value}”; there are {some}."
