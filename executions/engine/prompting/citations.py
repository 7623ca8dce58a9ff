"""Citations of places in a brief's files: a document may cite only places that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from common.errors import FieldError
from documents.extraction.anchors import check_citation, find_citations
from executions.engine.domain.brief import BriefFile

#: Violation code.
BAD_CITATION = "bad_citation"


def bad_citations(content: JsonValue, files: Sequence[BriefFile]) -> Iterator[FieldError]:
    """Yield a violation for each cited place of a brief's file that does not exist.

    Names of other files are not checked: a text may tell of files that the brief does not have. Files of one name have
    the places of all these files.
    """
    anchors: dict[str, list[str]] = {}
    written: dict[str, str] = {}  # names by their lower case
    for each in files:
        name = written.setdefault(each.name.casefold(), each.name)
        anchors.setdefault(name, []).extend(passage.anchor for passage in each.passages)
    names = written.keys()
    for place, text in _texts(content) if files else ():
        for citation in find_citations(text, anchors):
            fault = check_citation(citation, anchors) if citation.name.casefold() in names else None
            if fault is not None:
                yield FieldError(pointer=place, code=BAD_CITATION, detail=fault)


def _texts(value: JsonValue, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a document with its pointer."""
    if isinstance(value, str):
        yield place, value
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from _texts(each, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
