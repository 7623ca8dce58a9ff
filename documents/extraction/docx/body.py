"""The body of a Word document as Markdown: paragraphs, headings, lists, tables, notes, comments, places of pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from documents.extraction.archives import Relationship
from documents.extraction.docx.numbering import Numbering, Styles, number_reference, outline_level
from documents.extraction.docx.xml import attribute, child, is_on, name_of
from documents.extraction.text import clean

_MAX_COLUMNS = 200  # that a cell may span
_TRANSPARENT = frozenset(
    {"w:ins", "w:moveTo", "w:smartTag", "w:sdtContent", "w:customXml", "w:dir", "w:bdo", "w:fldSimple", "w:rubyBase"}
    | {"w:ruby", "m:oMath", "m:oMathPara", "mc:AlternateContent", "mc:Choice", "mc:Fallback", "w:sdt", "w:txbxContent"}
)
_DELETED = frozenset({"w:del", "w:moveFrom"})
_TRACKED = _DELETED | {"w:ins", "w:moveTo"}
_SYMBOLS = {"f0a8": "☐", "f06f": "☐", "f0fe": "☑", "f0fd": "☒", "f0fc": "✓", "f0e0": "→", "f0b7": "•", "f0a7": "▪"}
_TEXTS = {"w:tab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}
_REFERENCES = {
    "w:footnoteReference": "footnote",
    "w:endnoteReference": "endnote",
    "w:commentReference": "comment",
}
_NOTES = {
    "tracked": "The file has tracked changes; the text is read as if all were accepted.",
    "hidden": "Hidden text is not read.",
    "chart": "Charts and diagrams are not read.",
    "embedded": "Embedded files are not read.",
}


@dataclass(frozen=True)
class Block:
    """A paragraph, an item of a list or a table in Markdown.

    Attributes:
        text: its Markdown.
        heading: the plain text of a heading; empty for others.
        is_item: whether it is an item of a list.
        references: the notes and comments that it refers to, as (kind, id).
    """

    text: str
    heading: str = ""
    is_item: bool = False
    references: tuple[tuple[str, str], ...] = ()


@dataclass
class BodyReader:
    """Makes blocks of elements. It keeps what reaches over paragraphs: numbers of lists, open fields, notes."""

    styles: Styles
    numbering: Numbering
    relationships: dict[str, Relationship]
    notes: set[str] = field(default_factory=set)
    _fields: list[bool] = field(default_factory=list)  # of each open field, whether its result has begun
    _pending: str = ""  # the text of a paragraph whose end was deleted
    _references: list[tuple[str, str]] = field(default_factory=list)
    _boxes: list[Element] = field(default_factory=list)
    _others: dict[str, Callable[[Element], Iterator[str]]] = field(init=False)

    def __post_init__(self) -> None:
        self._others = {
            "w:sym": self._symbol,
            "w:object": self._embedded,
            "w:drawing": self._drawing,
            "w:pict": self._drawing,
            "mc:AlternateContent": self._alternate,
            "w:ruby": self._inline,
        }

    def sentences(self) -> list[str]:
        """Return the notes about what was found and not read."""
        return [text for key, text in _NOTES.items() if key in self.notes]

    def blocks(self, elements: Iterable[Element]) -> Iterator[Block]:
        """Yield the blocks of elements of a body, a cell, a note or a text box."""
        for each in elements:
            name = name_of(each)
            if name == "w:p":
                yield from self._paragraph(each)
            elif name == "w:tbl":
                yield from self._table(each)
            elif name == "w:altChunk":
                self.notes.add("embedded")
            elif name in _TRANSPARENT:
                self._note_tracking(name)
                yield from self.blocks(_children(each))

    def _note_tracking(self, name: str) -> None:
        if name in _TRACKED:
            self.notes.add("tracked")

    # --- paragraphs ---------------------------------------------------------------------------------------------------
    def _paragraph(self, element: Element) -> Iterator[Block]:
        properties = child(element, "w:pPr")
        outer, self._references = self._references, []
        text = self._pending + clean("".join(self._inline(element)))
        self._pending = ""
        if child(properties, "w:rPr", "w:del") is not None:
            self.notes.add("tracked")
            self._pending, self._references = text, outer + self._references
        else:
            references = tuple(dict.fromkeys(self._references))
            self._references = outer
            if text.strip():
                yield self._block(text.strip(), properties, references)
        boxes, self._boxes = self._boxes, []
        for each in boxes:
            yield from self.blocks(each)

    def _block(self, text: str, properties: Element | None, references: tuple[tuple[str, str], ...]) -> Block:
        style = attribute(child(properties, "w:pStyle"), "w:val")
        own, inherited = number_reference(properties), self.styles.number(style)
        marker = self.numbering.marker((own[0] or inherited[0], own[1] or inherited[1]))
        level = outline_level(properties) or self.styles.level(style)
        if level:
            number = marker[0] if marker and marker[0] != "-" else ""
            heading = re.sub(r"\s+", " ", f"{number} {text}").strip()
            plain = _NOTE_MARK.sub("", heading)
            return Block(f"{'#' * min(level, 6)} {heading}", heading=plain, references=references)
        if marker is None:
            return Block(text, references=references)
        indent = "  " * marker[1]
        body = text.replace("\n", f"\n{indent}  ")
        text = f"{indent}{marker[0]} {body}" if marker[0] else f"{indent}{body}"
        return Block(text, is_item=True, references=references)

    # --- within paragraphs --------------------------------------------------------------------------------------------
    def _inline(self, element: Element) -> Iterator[str]:
        """Yield the pieces of text of an element within a paragraph."""
        for each in _children(element):
            name = name_of(each)
            if name == "w:r":
                yield from self._run(each)
            elif name == "w:hyperlink":
                yield self._link(each)
            elif name == "m:t":
                yield each.text or ""
            elif name in _DELETED:
                self._note_tracking(name)
            elif name == "w:sdt" and (box := child(each, "w:sdtPr", "w14:checkbox")) is not None:
                yield "[x]" if attribute(child(box, "w14:checked"), "w14:val") in ("1", "true") else "[ ]"
            elif name in _TRANSPARENT or name.startswith("m:"):
                self._note_tracking(name)
                yield from self._inline(each)

    def _link(self, element: Element) -> str:
        text = "".join(self._inline(element))
        relationship = self.relationships.get(attribute(element, "r:id"))
        target = clean(relationship.target) if relationship and relationship.is_external else ""
        if not text.strip() or not target or target.removeprefix("mailto:") == text.strip():
            return text
        return f"[{text}]({target})"

    def _run(self, element: Element) -> Iterator[str]:
        properties = child(element, "w:rPr")
        if is_on(child(properties, "w:vanish")):
            self.notes.add("hidden")
            return
        text = "".join(piece for each in _children(element) for piece in self._piece(each))
        is_struck = text.strip() and (is_on(child(properties, "w:strike")) or is_on(child(properties, "w:dstrike")))
        yield f"~~{text}~~" if is_struck else text

    def _piece(self, element: Element) -> Iterator[str]:
        """Yield the text of one element of a run; fields count by their results."""
        name = name_of(element)
        if name == "w:fldChar":
            self._field(attribute(element, "w:fldCharType"))
        elif not all(self._fields):
            return
        elif name == "w:t":
            yield element.text or ""
        elif name in _TEXTS:
            yield _TEXTS[name]
        elif name in _REFERENCES:
            reference = (_REFERENCES[name], attribute(element, "w:id"))
            self._references.append(reference)
            yield note_mark(*reference)
        elif name in self._others:
            yield from self._others[name](element)

    def _field(self, kind: str) -> None:
        if kind == "begin":
            self._fields.append(False)
        elif self._fields:
            if kind == "separate":
                self._fields[-1] = True
            else:
                self._fields.pop()

    def _symbol(self, element: Element) -> Iterator[str]:
        yield _SYMBOLS.get(attribute(element, "w:char").lower(), "\ufffd")

    def _embedded(self, element: Element) -> Iterator[str]:
        self.notes.add("embedded")
        yield from self._drawing(element)

    def _drawing(self, element: Element) -> Iterator[str]:
        """Yield the place of a picture; text boxes become paragraphs of their own."""
        names = {name_of(each) for each in element.iter()}
        if boxes := [each for each in element.iter() if name_of(each) == "w:txbxContent"]:
            self._boxes += _outermost(boxes)
        if names & {"c:chart", "dgm:relIds"}:
            self.notes.add("chart")
            yield f"[chart{_alternative(element)}]"
        elif names & {"a:blip", "v:imagedata"}:
            yield f"[picture{_alternative(element)}{self._elsewhere(element)}]"

    def _elsewhere(self, element: Element) -> str:
        ids = {attribute(each, key) for each in element.iter() for key in ("r:embed", "r:link", "r:id")}
        found = [self.relationships[each] for each in ids if each in self.relationships]
        is_elsewhere = any(each.is_external and each.kind == "image" for each in found)
        return " (not in the file)" if is_elsewhere else ""

    def _alternate(self, element: Element) -> Iterator[str]:
        for each in _children(element):
            for inner in each:
                yield from self._piece(inner)

    # --- tables -------------------------------------------------------------------------------------------------------
    def _table(self, element: Element) -> Iterator[Block]:
        outer, self._references = self._references, []
        rows = [self._cells(each) for each in _rows(element)]
        references = tuple(dict.fromkeys(self._references))
        self._references = outer
        rows = [row for row in rows if any(row)]
        width = max((len(row) for row in rows), default=0)
        if width == 1:
            text = "\n\n".join(row[0].replace("<br>", "\n") for row in rows)
            yield Block(text, references=references)
        elif rows:
            lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in rows]
            lines.insert(1, f"|{' --- |' * width}")
            yield Block("\n".join(lines), references=references)

    def _cells(self, row: Element) -> list[str]:
        cells = []
        for cell in _descend(row, "w:tc"):
            properties = child(cell, "w:tcPr")
            merge = child(properties, "w:vMerge")
            is_continued = merge is not None and attribute(merge, "w:val") != "restart"
            cells.append("" if is_continued else self._cell(cell))
            span = attribute(child(properties, "w:gridSpan"), "w:val")
            if span.isascii() and span.isdigit():
                cells += [""] * (min(int(span[:4]), _MAX_COLUMNS) - 1)
        return cells

    def _cell(self, cell: Element) -> str:
        parts = []
        for block in self.blocks(cell):
            self._references += block.references
            parts.append(block.text)
        return re.sub(r"\n+", "<br>", "\n".join(parts)).replace("|", "\\|")


_NOTE_MARK = re.compile(r"\[\^[^\]]*\]")


def note_mark(kind: str, number: str) -> str:
    """Return the mark of a note or comment in the text, as Markdown has it for footnotes."""
    digits = re.sub(r"\W", "", number[:20])
    return f"[^{kind}-{digits}]"


def _children(element: Element) -> Iterable[Element]:
    """Return the children; of alternatives, those of the first one."""
    if name_of(element) == "mc:AlternateContent":
        return element[:1]
    return element


def _rows(table: Element) -> Iterator[Element]:
    for row in _descend(table, "w:tr"):
        if child(row, "w:trPr", "w:del") is None:
            yield row


def _descend(element: Element, name: str) -> Iterator[Element]:
    """Yield children of a name, also within content controls and marks of changes."""
    for each in _children(element):
        if name_of(each) == name:
            yield each
        elif name_of(each) in _TRANSPARENT:
            yield from _descend(each, name)


def _outermost(boxes: list[Element]) -> list[Element]:
    inner = {id(each) for box in boxes for each in box.iter() if each is not box}
    return [each for each in boxes if id(each) not in inner]


def _alternative(element: Element) -> str:
    """Return the alternative text of a picture, after a colon."""
    for each in element.iter():
        if name_of(each) in ("wp:docPr", "v:shape", "v:imagedata"):
            text = attribute_any(each, "descr", "alt", "title", "o:title")
            if text:
                return ": " + re.sub(r"\s+", " ", clean(text)).strip()
    return ""


def attribute_any(element: Element, *names: str) -> str:
    """Return the first attribute that has a text; names without prefix have no namespace."""
    values = (element.get(each, "") if ":" not in each else attribute(element, each) for each in names)
    return next((each for each in values if each.strip()), "")
