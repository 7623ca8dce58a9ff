"""Word documents and ZIP archives, part by part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
MACRO_TYPE = "application/vnd.ms-word.document.macroEnabled.main+xml"


def _style(key: str, name: str, more: str = "") -> str:
    return f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/>{more}</w:style>'


def _level(index: int, number_format: str, text: str, start: int = 1) -> str:
    values = f'<w:start w:val="{start}"/><w:numFmt w:val="{number_format}"/><w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{index}">{values}</w:lvl>'


_STYLES = "".join(
    [
        _style("berschrift1", "heading 1"),
        _style("H2", "Heading 2"),
        _style("Own", "Own heading", '<w:basedOn w:val="H2"/>'),
        _style("Outline", "Chapter", '<w:pPr><w:outlineLvl w:val="0"/></w:pPr>'),
        _style("Loop", "Loop", '<w:basedOn w:val="Loop"/>'),
        _style("Listed", "Listed", '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'),
    ]
)
_BULLETS = _level(0, "bullet", "o") + _level(1, "bullet", "o")
_NUMBERS = _level(0, "decimal", "%1.", start=3) + _level(1, "decimal", "%1.%2") + _level(2, "lowerRoman", "(%3)")
_NUMBERING = "".join(
    [
        f'<w:abstractNum w:abstractNumId="0">{_BULLETS}</w:abstractNum>',
        f'<w:abstractNum w:abstractNumId="1">{_NUMBERS}</w:abstractNum>',
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>',
        '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>',
    ]
)


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return data.getvalue()


def relationships(*entries: tuple[str, str, str, bool]) -> str:
    """Return a part of relationships: id, kind, target, and whether it lies elsewhere."""
    mode = {True: ' TargetMode="External"', False: ""}
    lines = "".join(
        f'<Relationship Id="{key}" Type="{_OFFICE}/{kind}" Target="{target}"{mode[external]}/>'
        for key, kind, target, external in entries
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{lines}</Relationships>'
    )


def part(container: str, content: str) -> str:
    """Return a part of a Word document with an element around its content."""
    return f'<?xml version="1.0" encoding="UTF-8"?><w:{container} {_NAMESPACES}>{content}</w:{container}>'


def docx(
    body: str,
    *,
    footnotes: str = "",
    endnotes: str = "",
    comments: str = "",
    links: tuple[tuple[str, str, str, bool], ...] = (),
    main_type: str = WORD_TYPE,
    more: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """Return a Word document; `body` is the XML within its body, `more` has further parts."""
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main_type}"/></Types>'
    )
    named = ("styles", "numbering", "footnotes", "endnotes", "comments")
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": types,
        "_rels/.rels": relationships(("rId1", "officeDocument", "word/document.xml", False)),
        "word/document.xml": part("document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": relationships(*((each, each, f"{each}.xml", False) for each in named), *links),
        "word/styles.xml": part("styles", _STYLES),
        "word/numbering.xml": part("numbering", _NUMBERING),
        "word/footnotes.xml": part("footnotes", footnotes),
        "word/endnotes.xml": part("endnotes", endnotes),
        "word/comments.xml": part("comments", comments),
    }
    return archive(parts | dict(more or {}))


def paragraph(text: str = "", *, style: str = "", properties: str = "", content: str = "") -> str:
    """Return a paragraph with a text, then other content."""
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    run = f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>' if text else ""
    return f"<w:p><w:pPr>{styled}{properties}</w:pPr>{run}{content}</w:p>"


def run(content: str, properties: str = "") -> str:
    """Return a run of other content than text."""
    return f"<w:r><w:rPr>{properties}</w:rPr>{content}</w:r>"


def text(content: str) -> str:
    """Return the text of a run."""
    return f'<w:t xml:space="preserve">{content}</w:t>'


def item(content: str, number: int = 1, level: int = 0) -> str:
    """Return an item of a list: 1 has bullets, 2 has numbers."""
    return paragraph(content, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def table(*rows: list[str]) -> str:
    """Return a table; each cell is a text, or XML."""
    cells = (
        "".join(f"<w:tc>{each if each.startswith('<') else paragraph(each)}</w:tc>" for each in row) for row in rows
    )
    return f"<w:tbl><w:tblPr/>{''.join(f'<w:tr>{each}</w:tr>' for each in cells)}</w:tbl>"


def note(kind: str, number: int, content: str, attributes: str = "") -> str:
    """Return a footnote, an endnote or a comment."""
    return f'<w:{kind} w:id="{number}" {attributes}>{paragraph(content)}</w:{kind}>'
