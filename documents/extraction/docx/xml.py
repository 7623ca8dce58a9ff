"""Elements of WordprocessingML by short names, whichever of the two sets of namespaces a file uses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from xml.etree.ElementTree import Element, ParseError, iterparse

from documents.extraction.archives import Archive
from documents.extraction.results import FileRefused, RefusalCode

#: Deeper than any program writes; what walks the tree calls itself.
MAX_DEPTH = 150

_PREFIXES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing": "wp",
    "http://purl.oclc.org/ooxml/drawingml/wordprocessingDrawing": "wp",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/drawingml/2006/chart": "c",
    "http://schemas.openxmlformats.org/drawingml/2006/diagram": "dgm",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.microsoft.com/office/word/2010/wordml": "w14",
    "http://purl.org/dc/elements/1.1/": "dc",
    "urn:schemas-microsoft-com:vml": "v",
    "urn:schemas-microsoft-com:office:office": "o",
}


@cache
def _short(tag: str) -> str:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    return f"{_PREFIXES.get(namespace, '?')}:{name}"


def name_of(element: Element) -> str:
    """Return the name of an element with a short prefix, such as `w:p`."""
    return _short(element.tag) if len(element.tag) < 200 else "?"


def attribute(element: Element | None, name: str) -> str:
    """Return an attribute by its short name, such as `w:val`; empty without the element or the attribute."""
    if element is not None:
        for key, value in element.attrib.items():
            if len(key) < 200 and _short(key) == name:
                return value
    return ""


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first child at a path of short names."""
    for name in path:
        element = next((each for each in element if name_of(each) == name), None) if element is not None else None
    return element


def is_on(element: Element | None) -> bool:
    """Return whether a switch such as `w:b` is there and not off."""
    return element is not None and attribute(element, "w:val") not in ("0", "false", "off", "none")


def top_level(archive: Archive, part: str, container: str) -> Iterator[Element]:
    """Yield the children of an element of a part one after the other, each before the next one is parsed.

    Args:
        archive: the file.
        part: the name of the part; without it nothing is yielded.
        container: the short name of the element, such as `w:body`.

    Raises:
        FileRefused: the part is no valid XML, or is nested too deep.
    """
    if part not in archive:
        return
    depth = 0
    containers: list[tuple[int, Element]] = []
    try:
        for event, element in iterparse(_Stream(archive.chunks(part)), ("start", "end")):  # noqa: S314 - has no DTD
            if event == "start":
                depth += 1
                if depth > MAX_DEPTH:
                    raise FileRefused(RefusalCode.DAMAGED, "is damaged: its elements are nested too deep")
                if not containers and name_of(element) == container:
                    containers.append((depth, element))
                continue
            depth -= 1
            if containers and depth == containers[0][0]:
                yield element
                containers[0][1].clear()
    except ParseError as error:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: a part of it is no valid XML") from error


class _Stream(io.RawIOBase):
    """A file of the pieces of a part."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece; nothing at the end."""
        return next(self._chunks, b"")
