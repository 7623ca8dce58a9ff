"""A book as DOCX, with real styles, a contents field, repeated header rows and page numbers.

python-docx brings the package and its parts; the body is written as XML. A house `.docx` gives styles, header and
footer.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from documents.rendering.chapters import Book
from documents.rendering.content.tree import Field, Fields, Heading, Runs, headings_of, plain
from documents.rendering.writers.docx_body import MAIN, BodyWriter, Numbering, paragraph_xml, text_xml
from documents.rendering.writers.docx_styles import add_styles
from documents.rendering.writers.house_style import drop_settings, open_house
from documents.rendering.writers.layout import contents_depth, footer_of
from documents.rendering.writers.zip_files import deterministic_zip

if TYPE_CHECKING:
    from docx.document import Document

_NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_HYPERLINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_PAGE = {"page_width": 11906, "page_height": 16838, "left_margin": 1361, "right_margin": 1361}  # A4, in twips
_MARGINS = {"top_margin": 1247, "bottom_margin": 1474}
_FLAT = '<w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/>'
_APART = '<w:spacing w:before="360"/>'  # from the text before
_EMU = 635  # of a twip


def render(book: Book, house: bytes | None = None) -> bytes:
    """Return the DOCX of a book.

    Args:
        book: what is written.
        house: a `.docx` whose styles, header and footer are used.

    Raises:
        HouseStyleError: the house file is refused.
    """
    document = _empty() if house is None else open_house(house)
    styles = add_styles(document, language=_language(book), replace=house is None)
    provenance = book.provenance if book.is_execution else book.chapters[0].provenance
    footer, is_all = footer_of(provenance)
    has_footer = any(paragraph.text.strip() for paragraph in document.sections[-1].footer.paragraphs)
    if not has_footer:
        _set_footer(document, footer, styles)
    writer = BodyWriter(styles, Numbering(_numbering(document)), width=_text_width(document))
    ending = provenance if has_footer or not is_all else ()
    body = "".join([*_body(book, writer), _provenance(ending, styles)])
    for address, name in writer.links.items():
        document.part.rels.add_relationship(_HYPERLINK, address, name, is_external=True)
    _set_properties(document, book)
    return _packed(document, body)


def _packed(document: Document, body: str) -> bytes:
    """Return a document as a file, with XML as its body before the properties of its last section.

    The body does not pass through lxml, which needs the square of the rows of a table to move it.
    """
    from docx.opc.pkgwriter import PackageWriter  # noqa: PLC0415
    from lxml import etree  # noqa: PLC0415

    last = etree.tostring(document.element.body[-1], encoding="unicode", with_tail=False)
    whole = f"{_DECLARATION}<w:document {_NAMESPACES}><w:body>{body}{last}</w:body></w:document>"
    made = io.BytesIO()
    package = document.part.package
    for part in package.parts:
        part.before_marshal()
    PackageWriter.write(made, package.rels, package.parts)
    with zipfile.ZipFile(made) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return deterministic_zip(entries | {"word/document.xml": whole.encode()}, first="[Content_Types].xml")


def _empty() -> Document:
    """Return an empty document of A4 pages."""
    import docx  # noqa: PLC0415 - heavy; only the process that makes a DOCX loads it
    from docx.shared import Twips  # noqa: PLC0415

    document = docx.Document()
    for name, twips in (_PAGE | _MARGINS).items():
        setattr(document.sections[0], name, Twips(twips))
    drop_settings(document)
    for setting in document.settings.element.iter(f"{{{MAIN}}}compatSetting"):
        if setting.get(f"{{{MAIN}}}name") == "compatibilityMode":
            setting.set(f"{{{MAIN}}}val", "15")  # Word 2013 and later
    package = document.part.package
    for name, relation in list(package.rels.items()):
        if relation.reltype.endswith("/thumbnail"):
            del package.rels[name]
    for name, relation in list(document.part.rels.items()):
        if relation.reltype.endswith("/customXml"):
            del document.part.rels[name]
    return document


def _numbering(document: Document) -> Any:
    """Return the root of the numberings; a house file may have none."""
    from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE  # noqa: PLC0415
    from docx.opc.packuri import PackURI  # noqa: PLC0415
    from docx.parts.numbering import NumberingPart  # noqa: PLC0415

    part = document.part
    if not any(relation.reltype == RELATIONSHIP_TYPE.NUMBERING for relation in part.rels.values()):
        xml = f"<w:numbering {_NAMESPACES}/>".encode()
        made = NumberingPart.load(PackURI("/word/numbering.xml"), CONTENT_TYPE.WML_NUMBERING, xml, part.package)
        part.relate_to(made, RELATIONSHIP_TYPE.NUMBERING)
    return part.numbering_part.element


def _text_width(document: Document) -> int:
    """Return the width between the margins, in twips."""
    section = document.sections[-1]
    page, left, right = section.page_width, section.left_margin, section.right_margin
    if page is None or left is None or right is None:
        return _PAGE["page_width"] - 2 * _PAGE["left_margin"]
    return max(2_000, int((page - left - right) / _EMU))


def _language(book: Book) -> str:
    tag = book.language or (book.chapters[0].language if book.chapters else None) or ""
    return tag if _LANGUAGE.fullmatch(tag) else "en-US"


# --- the body ---------------------------------------------------------------------------------------------------------


def _body(book: Book, writer: BodyWriter) -> Iterator[str]:
    shift = 1 if book.is_execution else 0
    lower = '<w:spacing w:before="3600" w:after="360"/>' if shift else ""
    yield paragraph_xml(text_xml(book.title), style=writer.styles["Title"], properties=lower)
    if book.facts:
        yield writer.blocks((Fields(tuple(Field(name, plain(value)) for name, value in book.facts)),))
    depth = contents_depth(book)
    if depth:
        yield writer.contents(_headings(book, shift), depth, on_new_page=book.is_execution)
    for chapter in book.chapters:
        if book.is_execution:
            yield writer.heading(Heading(1, plain(chapter.title), chapter.anchor), on_new_page=True)
        yield writer.blocks(chapter.blocks, shift=shift)
        if book.is_execution:
            yield _provenance(chapter.provenance, writer.styles)


def _headings(book: Book, shift: int) -> list[tuple[int, Runs]]:
    """Return level and text of all headings, in the order in which they are written."""
    found: list[tuple[int, Runs]] = []
    for chapter in book.chapters:
        found += [(1, plain(chapter.title))] if shift else []
        found += [(heading.level + shift, heading.text) for heading in headings_of(chapter.blocks)]
    return found


def _provenance(lines: Sequence[str], styles: dict[str, str]) -> str:
    style = styles["Document Provenance"]
    return "".join(
        paragraph_xml(text_xml(line), style=style, properties="" if number else _APART)
        for number, line in enumerate(lines)
    )


# --- around the body --------------------------------------------------------------------------------------------------


def _set_footer(document: Document, text: str, styles: dict[str, str]) -> None:
    from docx.oxml import parse_xml  # noqa: PLC0415

    width = _text_width(document)
    footer = document.sections[-1].footer
    footer.is_linked_to_previous = False
    element = footer._element  # noqa: SLF001 - python-docx has no other way to its XML
    for paragraph in list(element):
        element.remove(paragraph)
    numbers = f"{_field('PAGE')}{text_xml(' of ')}{_field('NUMPAGES')}"
    cells = ((text_xml(text), width - 1_500, "left"), (numbers, 1_500, "right"))
    row = "".join(
        f'<w:tc><w:tcPr><w:tcW w:w="{share}" w:type="dxa"/></w:tcPr>'
        f"{paragraph_xml(inner, style=styles['footer'], align=align)}</w:tc>"
        for inner, share, align in cells
    )
    grid = "".join(f'<w:gridCol w:w="{share}"/>' for _, share, _ in cells)
    border = '<w:tblBorders><w:top w:val="single" w:sz="4" w:space="0" w:color="C9CFD6"/></w:tblBorders>'
    sides = "".join(
        f'<w:{side} w:w="{space}" w:type="dxa"/>' for side, space in (("top", 60), ("left", 0), ("right", 0))
    )
    table = (
        f'<w:tbl {_NAMESPACES}><w:tblPr><w:tblW w:w="{width}" w:type="dxa"/>{border}<w:tblLayout w:type="fixed"/>'
        f"<w:tblCellMar>{sides}</w:tblCellMar></w:tblPr><w:tblGrid>{grid}</w:tblGrid><w:tr>{row}</w:tr></w:tbl>"
    )
    element.append(parse_xml(table))
    element.append(parse_xml(f"<w:p {_NAMESPACES}><w:pPr>{_FLAT}</w:pPr></w:p>"))  # a table cannot be the last


def _field(name: str) -> str:
    return f'<w:fldSimple w:instr=" {name} "><w:r><w:t>1</w:t></w:r></w:fldSimple>'


def _set_properties(document: Document, book: Book) -> None:
    """Set the core properties; times are those of the version."""
    properties = document.core_properties
    made = book.created_at.replace(tzinfo=None, microsecond=0)
    properties.title = book.title[:255]
    properties.author = properties.last_modified_by = properties.comments = properties.keywords = ""
    properties.created = properties.modified = made
    properties.language = _language(book)
    properties.revision = 1
