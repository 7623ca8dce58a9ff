"""Word documents: their text as Markdown, in segments of headings, or of paragraphs where there are no headings.

The text is taken from the XML itself. mammoth needs 25 times as long for it, and memory for 50 times the XML. It does
not give the authors of comments. python-docx does not read notes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from documents.extraction.archives import Archive, check_parts
from documents.extraction.docx.body import Block, BodyReader, note_mark
from documents.extraction.docx.numbering import Numbering, Styles
from documents.extraction.docx.xml import attribute, name_of, top_level
from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode, Segment, span
from documents.extraction.text import clean

#: A segment without a heading ends with the paragraph that reaches this many characters.
_SEGMENT_CHARACTERS = 4_000
_MAX_SLUG = 60
_PARTS_OF_NOTES = {"footnote": "footnotes", "endnote": "endnotes", "comment": "comments"}


def read(data: bytes, limits: ExtractionLimits) -> Extraction:
    """Return the text of a Word document.

    Raises:
        FileRefused: the document is damaged, has active content, or too many characters.
    """
    archive = Archive(data)
    notes = check_parts(archive)
    main = _target(archive, "", "officeDocument", default="word/document.xml")
    if main not in archive:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: its main part is missing")
    budget = CharacterBudget(limits)
    styles = Styles(archive, _target(archive, main, "styles", default="word/styles.xml"))
    numbering = Numbering.of(archive, _target(archive, main, "numbering", default="word/numbering.xml"))
    body = BodyReader(styles, numbering, relationships={each.id: each for each in archive.relationships(main)})
    remarks = _remarks(archive, main, body)
    segments = _Segments(remarks, budget)
    for element in top_level(archive, main, "w:body"):
        for block in body.blocks([element]):
            segments.add(block)
    found = segments.finish()
    if not found:
        notes.append("The file has no text.")
    return Extraction.of(FileType.DOCX, found, notes=notes + body.sentences(), title=_title(archive))


def _target(archive: Archive, part: str, kind: str, *, default: str) -> str:
    """Return the part that another one names for a purpose."""
    targets = (each.target for each in archive.relationships(part) if each.kind == kind and not each.is_external)
    return next((each for each in targets if each in archive), default)


def _title(archive: Archive) -> str:
    part = _target(archive, "", "core-properties", default="docProps/core.xml")
    elements = top_level(archive, part, "?:coreProperties")
    return next((clean(each.text or "") for each in elements if name_of(each) == "dc:title"), "")


def _remarks(archive: Archive, main: str, body: BodyReader) -> dict[tuple[str, str], str]:
    """Return the text of each footnote, endnote and comment, by kind and id."""
    found = {}
    for kind, parts in _PARTS_OF_NOTES.items():
        part = _target(archive, main, parts, default=f"word/{parts}.xml")
        relationships = {each.id: each for each in archive.relationships(part)}
        reader = BodyReader(body.styles, body.numbering, relationships=relationships)
        for each in top_level(archive, part, f"w:{parts}"):
            if not attribute(each, "w:type").lower().endswith("separator"):
                found[kind, attribute(each, "w:id")] = _remark(kind, each, reader)
        body.notes |= reader.notes
    return found


def _remark(kind: str, element: Element, reader: BodyReader) -> str:
    text = "\n".join(block.text for block in reader.blocks(element)).replace("\n", "\n    ")
    if kind != "comment":
        return text
    author, date = attribute(element, "w:author").strip()[:100], attribute(element, "w:date")[:10]
    by = " ".join(filter(None, [clean(author) and f"by {clean(author)}", date and f"on {date}"]))
    return f"Comment {by}: {text}" if by else f"Comment: {text}"


@dataclass
class _Segments:
    """Puts blocks together to segments, with the notes that they refer to at the end of each."""

    remarks: dict[tuple[str, str], str]
    budget: CharacterBudget
    _found: list[Segment] = field(default_factory=list)
    _slugs: dict[str, int] = field(default_factory=dict)
    _blocks: list[Block] = field(default_factory=list)
    _size: int = 0
    _number: int = 0

    def add(self, block: Block) -> None:
        """Add the next block of the document."""
        if block.heading or (self._size >= _SEGMENT_CHARACTERS and not self._blocks[0].heading):
            self._close()
        self._blocks.append(block)
        self._size += len(self.budget.spend(block.text))

    def finish(self) -> list[Segment]:
        """Return all segments."""
        self._close()
        return self._found

    def _close(self) -> None:
        if not self._blocks:
            return
        first, self._number = self._number + 1, self._number + len(self._blocks)
        heading = self._blocks[0].heading
        text = "\n\n".join([*_joined(self._blocks), *self._definitions()])
        if heading:
            self._found.append(Segment(f"heading={self._slug(heading)}", heading[:200], text))
        else:
            self._found.append(Segment(*span("paragraphs", first, self._number), text))
        self._blocks, self._size = [], 0

    def _definitions(self) -> Iterator[str]:
        for reference in dict.fromkeys(each for block in self._blocks for each in block.references):
            if reference in self.remarks:
                yield self.budget.spend(f"{note_mark(*reference)}: {self.remarks[reference]}")

    def _slug(self, heading: str) -> str:
        """Return the anchor of a heading: its words with hyphens, and a number if another one has the same words."""
        words = re.findall(r"\w+", unicodedata.normalize("NFC", heading).lower())
        slug = "-".join(words)[:_MAX_SLUG].strip("-") or "section"
        unique = slug
        while unique in self._slugs:
            self._slugs[slug] += 1
            unique = f"{slug}-{self._slugs[slug]}"
        self._slugs[unique] = 1
        return unique


def _joined(blocks: list[Block]) -> Iterator[str]:
    """Yield the texts of blocks; items of a list that follow each other stay together."""
    items: list[str] = []
    for block in blocks:
        if block.is_item:
            items.append(block.text)
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield block.text
    if items:
        yield "\n".join(items)
