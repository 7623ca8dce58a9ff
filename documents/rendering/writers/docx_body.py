"""Blocks as the XML of a DOCX body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from documents.rendering.content.tree import (
    Block,
    CodeBlock,
    Fields,
    Heading,
    Leaf,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Runs,
    Table,
    text_of,
)
from documents.rendering.writers.layout import column_widths, is_right_to_left

_ROLES = {"": "", "label": "Document Label", "intro": "Document Intro", "note": "Document Intro"}
_BULLETS = ("•", "\N{EN DASH}", "▪")
_LAST_LEVEL = 8  # of lists, counted from 0
_INDENT = 360  # twips of one level of a list
_WIDE_LETTER = 1.4  # bold, or in a font of the reader's
_WITH_NEXT = "<w:keepNext/>"  # on the same page
_ALIGNS = {"center": "center", "right": "end", "left": "start"}


def text_xml(text: str, properties: str = "") -> str:
    """Return a text as runs of XML; line feeds are breaks."""
    inner = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    lines = '</w:t><w:br/><w:t xml:space="preserve">'.join(map(_line_xml, text.split("\n")))
    return f'<w:r>{inner}<w:t xml:space="preserve">{lines}</w:t></w:r>'


def _line_xml(line: str) -> str:
    return '</w:t><w:tab/><w:t xml:space="preserve">'.join(escape(part) for part in line.split("\t"))


def paragraph_xml(inner: str, *, style: str = "", properties: str = "", align: str = "") -> str:
    """Return a paragraph; `properties` stand between its style and its alignment, as the schema of DOCX wants them."""
    first = f'<w:pStyle w:val="{escape(style)}"/>' if style else ""
    last = f'<w:jc w:val="{_ALIGNS[align]}"/>' if align else ""
    return f"<w:p><w:pPr>{first}{properties}{last}</w:pPr>{inner}</w:p>"


class Numbering:
    """The numberings of lists: one for bullets, and one for each numbered list."""

    def __init__(self, element: Any) -> None:
        self._element = element
        self._bullets = self._add_abstract(is_numbered=False)
        self._numbers = self._add_abstract(is_numbered=True)
        self._next = max((int(each.get(_w("numId"))) for each in element.findall(_w("num"))), default=0) + 1
        self.bullets = self._add(self._bullets)

    def numbered(self, level: int, start: int) -> int:
        """Return the number of a new numbered list."""
        override = f'<w:lvlOverride w:ilvl="{level}"><w:startOverride w:val="{min(start, 2**31 - 1)}"/></w:lvlOverride>'
        return self._add(self._numbers, override)

    def _add(self, abstract: int, override: str = "") -> int:
        from docx.oxml import parse_xml  # noqa: PLC0415

        number, self._next = self._next, self._next + 1
        inner = f'<w:abstractNumId w:val="{abstract}"/>{override}'
        self._element.append(parse_xml(f'<w:num xmlns:w="{MAIN}" w:numId="{number}">{inner}</w:num>'))
        return number

    def _add_abstract(self, *, is_numbered: bool) -> int:
        from docx.oxml import parse_xml  # noqa: PLC0415

        found = self._element.findall(_w("abstractNum"))
        number = max((int(each.get(_w("abstractNumId"))) for each in found), default=-1) + 1
        levels = "".join(_level(level, is_numbered) for level in range(_LAST_LEVEL + 1))
        made = parse_xml(
            f'<w:abstractNum xmlns:w="{MAIN}" w:abstractNumId="{number}">'
            f'<w:multiLevelType w:val="multilevel"/>{levels}</w:abstractNum>'
        )
        if found:
            found[-1].addnext(made)
        else:
            self._element.insert(0, made)
        return number


#: The namespace of WordprocessingML.
MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def _w(name: str) -> str:
    return f"{{{MAIN}}}{name}"


def _level(level: int, is_numbered: bool) -> str:
    kind, text = ("decimal", f"%{level + 1}.") if is_numbered else ("bullet", _BULLETS[level % 3])
    return (
        f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>'
        f'<w:lvlJc w:val="left"/><w:pPr><w:ind w:left="{_INDENT * (level + 1)}" w:hanging="{_INDENT}"/></w:pPr></w:lvl>'
    )


@dataclass(frozen=True)
class _Around:
    """What surrounds a block: by how much headings are lower, the level of lists, and the style of paragraphs."""

    shift: int
    indent: int = 0
    style: str = ""


class BodyWriter:
    """Writes blocks.

    Attributes:
        styles: the identifier of each style by its name.
        links: the name of the relationship for each address.
    """

    def __init__(self, styles: dict[str, str], numbering: Numbering, *, width: int) -> None:
        self.styles = styles
        self.links: dict[str, str] = {}
        self._numbering = numbering
        self._width = width
        self._headings = 0

    def blocks(self, blocks: Iterable[Block], *, shift: int = 0) -> str:
        """Return the XML of blocks; headings are lower by `shift` levels."""
        return "".join(self._block(block, _Around(shift)) for block in blocks)

    def heading(self, heading: Heading, *, shift: int = 0, on_new_page: bool = False) -> str:
        """Return a heading with a bookmark; the n-th has the bookmark of the n-th entry of the contents list."""
        self._headings += 1
        number = self._headings
        inner = f'<w:bookmarkStart w:id="{number}" w:name="{_bookmark(number)}"/>{self._runs(heading.text)}'
        style = self.styles[f"heading {min(heading.level + shift, 9)}"]
        before = "<w:pageBreakBefore/>" if on_new_page else ""
        return paragraph_xml(
            f'{inner}<w:bookmarkEnd w:id="{number}"/>', style=style, properties=before + _direction(heading.text)
        )

    def contents(self, headings: Sequence[tuple[int, Runs]], depth: int, *, on_new_page: bool) -> str:
        """Return the contents list: a field with links to the headings. Page numbers come when a program updates it."""
        title = paragraph_xml(
            text_xml("Contents"),
            style=self.styles["Document Contents"],
            properties="<w:pageBreakBefore/>" if on_new_page else "",
        )
        begin = (
            f'<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> TOC \\o "1-{depth}" '
            '\\h \\z \\u </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        )
        entries: list[str] = []
        for number, (level, runs) in enumerate(headings, 1):
            if level <= depth:
                entries.append(self._entry(number, level, text_of(runs), before="" if entries else begin))
        end = paragraph_xml('<w:r><w:fldChar w:fldCharType="end"/></w:r>')
        return title + "".join(entries) + end

    def _entry(self, number: int, level: int, text: str, *, before: str) -> str:
        link = f'<w:hyperlink w:anchor="{_bookmark(number)}" w:history="1">{text_xml(text)}</w:hyperlink>'
        tabs = f'<w:tabs><w:tab w:val="right" w:leader="dot" w:pos="{self._width}"/></w:tabs>'
        return paragraph_xml(before + link, style=self.styles[f"toc {min(level, 3)}"], properties=tabs)

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _block(self, block: Block, around: _Around) -> str:
        match block:
            case Fields():
                return "".join(self._field(each.label, each.value) for each in block.fields)
            case ListBlock():
                return self._list(block, around.indent)
            case Table():
                return self._table(block)
            case Quote():
                inner = replace(around, style=self.styles["Quote"])
                return "".join(self._block(each, inner) for each in block.blocks)
            case _:
                return self._leaf(block, around)

    def _leaf(self, block: Leaf, around: _Around) -> str:
        match block:
            case Heading():
                return self.heading(block, shift=around.shift)
            case Paragraph():
                style = self.styles[_ROLES[block.role]] if block.role else around.style
                with_next = _WITH_NEXT if block.role == "intro" else ""
                properties = with_next + _direction(block.text) + _indentation(around.indent)
                return paragraph_xml(self._runs(block.text), style=style, properties=properties)
            case CodeBlock():
                properties = _indentation(around.indent)
                return paragraph_xml(text_xml(block.text), style=self.styles["Document Code"], properties=properties)
            case Rule():
                border = '<w:pBdr><w:bottom w:val="single" w:sz="4" w:space="1" w:color="C9CFD6"/></w:pBdr>'
                return paragraph_xml("", properties=border)

    def _field(self, label: str, value: Runs) -> str:
        inner = f"{text_xml(f'{label}: ', '<w:b/><w:bCs/>')}{self._runs(value)}"
        return paragraph_xml(inner, style=self.styles["Document Field"], properties=_direction(value))

    def _list(self, block: ListBlock, indent: int) -> str:
        level = min(indent, _LAST_LEVEL)
        number = self._numbering.bullets if block.start is None else self._numbering.numbered(level, block.start)
        properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        style = self.styles["List Paragraph"]
        parts: list[str] = []
        for item in block.items:
            first = item[0].text if item and isinstance(item[0], Paragraph) and not item[0].role else ()
            parts.append(paragraph_xml(self._runs(first), style=style, properties=properties + _direction(first)))
            parts += [self._block(each, _Around(0, indent + 1, style)) for each in (item[1:] if first else item)]
        return "".join(parts)

    def _table(self, table: Table) -> str:
        widths = [int(share * self._width) for share in column_widths(table, letter=_WIDE_LETTER)]
        grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
        rows = [self._row(table.header, table, widths, is_header=True)]
        rows += [self._row(row, table, widths) for row in table.rows]
        look = '<w:tblLook w:val="0620" w:firstRow="1" w:noHBand="1" w:noVBand="1"/>'
        gap = paragraph_xml("", style=self.styles["Document Gap"])
        return (
            f'<w:tbl><w:tblPr><w:tblStyle w:val="{escape(self.styles["Document Table"])}"/>'
            f'<w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:tblLayout w:type="fixed"/>{look}</w:tblPr>'
            f"<w:tblGrid>{grid}</w:tblGrid>{''.join(rows)}</w:tbl>{gap}"
        )

    def _row(self, cells: Sequence[Runs], table: Table, widths: Sequence[int], *, is_header: bool = False) -> str:
        parts: list[str] = []
        with_next = _WITH_NEXT if is_header else ""  # LibreOffice loses the rows after a header that ends a page
        for runs, align, width in zip(cells, table.aligns, widths, strict=True):
            properties = with_next + _direction(runs)
            inner = paragraph_xml(
                self._runs(runs), style=self.styles["Document Cell"], properties=properties, align=align
            )
            parts.append(f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr>{inner}</w:tc>')
        header = "<w:tblHeader/>" if is_header else ""
        return f"<w:tr><w:trPr><w:cantSplit/>{header}</w:trPr>{''.join(parts)}</w:tr>"

    # --- within a paragraph -------------------------------------------------------------------------------------------

    def _runs(self, runs: Runs) -> str:
        parts: list[str] = []
        is_rtl = is_right_to_left(runs)
        for run in runs:
            inner = text_xml(run.text, self._properties(run, is_rtl))
            if run.href:
                name = self.links.setdefault(run.href, f"rIdLink{len(self.links) + 1}")
                inner = f'<w:hyperlink r:id="{name}" w:history="1">{inner}</w:hyperlink>'
            parts.append(inner)
        return "".join(parts)

    def _properties(self, run: Run, is_rtl: bool) -> str:
        """Return the properties of a run, in the order that the schema of DOCX wants."""
        style = "Hyperlink" if run.href else "Document Code Text" if run.code else ""
        parts = [
            f'<w:rStyle w:val="{escape(self.styles[style])}"/>' if style else "",
            "<w:b/><w:bCs/>" if run.bold else "",
            "<w:i/><w:iCs/>" if run.italic else "",
            "<w:strike/>" if run.strike else "",
            "<w:rtl/>" if is_rtl else "",
        ]
        return "".join(parts)


def _bookmark(number: int) -> str:
    return f"_Toc{number:08}"


def _direction(runs: Runs) -> str:
    return "<w:bidi/>" if is_right_to_left(runs) else ""


def _indentation(level: int) -> str:
    return f'<w:ind w:left="{_INDENT * min(level, _LAST_LEVEL)}"/>' if level else ""
