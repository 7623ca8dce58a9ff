"""House files: what they give, and what is refused with a sentence."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import cache

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.shared import Pt, RGBColor
from lxml import etree

from documents.rendering.chapters import book_of
from documents.rendering.errors import HouseStyleError
from documents.rendering.writers import docx as writer
from documents.rendering.writers.house_style import check_parts
from tests.factories.rendering import document, zip_entries

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0003010101"
    "e5a9b4d20000000049454e44ae426082"
)
RELATIONS = "word/_rels/document.xml.rels"
TYPES = "[Content_Types].xml"


def house(change: Callable[[docx.document.Document], None] | None = None) -> bytes:
    """Return a house file with a header with a logo, a footer and a style of its own."""
    made = docx.Document()
    made.add_paragraph("A letter that is dropped")
    made.styles["Heading 1"].font.size = Pt(33)
    made.styles["Heading 1"].font.color.rgb = RGBColor(0xAA, 0, 0)
    made.styles.add_style("Document Label", WD_STYLE_TYPE.PARAGRAPH)
    header = made.sections[0].header
    header.paragraphs[0].text = "ACME"
    header.paragraphs[0].add_run().add_picture(io.BytesIO(PNG))
    made.sections[0].footer.paragraphs[0].text = "Confidential"
    if change is not None:
        change(made)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


@cache
def usual_house() -> bytes:
    """Return the house file as it is."""
    return house()


def repacked(
    data: bytes, changes: dict[str, bytes | tuple[bytes, bytes]], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return a zip file with entries added, or with bytes replaced within them."""
    entries = zip_entries(data)
    for name, change in changes.items():
        entries[name] = entries[name].replace(*change) if isinstance(change, tuple) else change
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_styles_header_and_footer_are_used_and_the_body_is_dropped() -> None:
    made = writer.render(book_of(document({"part": "Long text. " * 30})), usual_house())
    opened = docx.Document(io.BytesIO(made))
    assert [each.text for each in opened.paragraphs if each.text][:2] == ["Report", "Part"]
    assert opened.styles["Heading 1"].font.size == Pt(33)
    assert opened.sections[0].header.paragraphs[0].text == "ACME"
    assert opened.sections[0].footer.paragraphs[0].text == "Confidential"
    assert [each.text for each in opened.paragraphs][-2:] == ["Version 3 of 4 March 2026", "by strong"]
    assert PNG in zip_entries(made).values()
    assert made == writer.render(book_of(document({"part": "Long text. " * 30})), usual_house())


def test_a_house_file_without_footer_styles_and_numbering_gets_ours() -> None:
    bare = repacked(
        house(lambda made: setattr(made.sections[0].footer.paragraphs[0], "text", "")),
        {RELATIONS: (b"relationships/numbering", b"relationships/webSettings")},
    )
    made = writer.render(book_of(document({"part": "- a\n- b\n\n" + "Long text. " * 30})), bare)
    opened = docx.Document(io.BytesIO(made))
    assert "Version 3" in etree.tostring(opened.sections[0].footer._element, encoding="unicode")
    assert "List Paragraph" in {each.style.name for each in opened.paragraphs if each.style is not None}


def test_parts_that_give_no_looks_are_not_in_the_file() -> None:
    data = repacked(usual_house(), {"docProps/custom.xml": b"<a/>", "word/comments.xml": b"<a>secret</a>"})
    names = set(zip_entries(writer.render(book_of(document("x")), data)))
    assert not {name for name in names if "custom" in name or "comments" in name or "webSettings" in name}


def relation(kind: str, target: str, mode: str = "") -> tuple[bytes, bytes]:
    base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
    extra = f'<Relationship Id="rId99" Type="{base}{kind}" Target="{target}"{mode}/>'
    return b"</Relationships>", f"{extra}</Relationships>".encode()


EXTERNAL = ' TargetMode="External"'


def field(instruction: str) -> tuple[bytes, bytes]:
    run = f'<w:p><w:fldSimple w:instr="{instruction}"><w:r><w:t>x</w:t></w:r></w:fldSimple></w:p></w:hdr>'
    return b"</w:hdr>", run.encode()


def spread(*parts: str) -> tuple[bytes, bytes]:
    runs = "".join(f"<w:r><w:instrText>{part}</w:instrText></w:r>" for part in parts)
    begin, end = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "end"))
    return b"</w:hdr>", f"<w:p>{begin}{runs}{end}</w:p></w:hdr>".encode()


HEADER = "word/header1.xml"
REFUSED: dict[str, tuple[dict[str, bytes | tuple[bytes, bytes]], str]] = {
    "macros": ({"word/vbaProject.bin": b"x"}, "active part, word/vbaProject.bin"),
    "macro type": ({TYPES: (b"document.main+xml", b"document.macroEnabled.main+xml")}, "active part"),
    "docm": (
        {TYPES: (b"vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml", b"x")},
        "no .docx document",
    ),
    "template": ({TYPES: (b"wordprocessingml.document.main", b"wordprocessingml.template.main")}, "no .docx document"),
    "attached template": (
        {
            "word/_rels/settings.xml.rels": b"<Relationships>"
            + relation("attachedTemplate", "http://x.example/t.dotm")[1]
        },
        "attachedTemplate",
    ),
    "remote image": ({RELATIONS: relation("image", "http://x.example/i.png", EXTERNAL)}, "outside of the file"),
    "link": ({RELATIONS: relation("hyperlink", "http://x.example/", EXTERNAL)}, "outside of the file"),
    "frame": ({RELATIONS: relation("frame", "x.htm")}, "frame"),
    "object": ({RELATIONS: relation("oleObject", "embeddings/x")}, "oleObject"),
    "embedding": ({"word/embeddings/a.xlsx": b"x"}, "active part"),
    "activex": ({"word/activeX/activeX1.xml": b"<a/>"}, "active part"),
    "dtd": ({HEADER: (b"<w:hdr", b'<!DOCTYPE a [<!ENTITY b "c">]><w:hdr')}, "entities"),
    "dtd in utf-16": (
        {
            "word/a.xml": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'.encode(
                "utf-16"
            )
        },
        "entities",
    ),
    "no xml": ({HEADER: b"<w:hdr"}, "no well-formed XML"),
    "deep xml": ({"word/a.xml": b"<a>" * 3000 + b"</a>" * 3000}, "no well-formed XML"),
    "include": ({HEADER: field("INCLUDETEXT &quot;file:///etc/passwd&quot;")}, "INCLUDETEXT"),
    "dde": ({HEADER: spread("DD", "EAUTO c:\\\\cmd.exe")}, "DDEAUTO"),
    "link field": ({HEADER: field("HYPERLINK &quot;http://x.example&quot;")}, "HYPERLINK"),
    "loading": ({HEADER: (b"</w:hdr>", b'<w:p><a src="http://x.example/i"/></w:p></w:hdr>')}, "loads something"),
    "ole": ({HEADER: (b"</w:hdr>", b"<w:p><w:object/></w:p></w:hdr>")}, "embedded object"),
    "parent path": ({"../x.xml": b"<a/>"}, "not allowed"),
    "absolute path": ({"/etc/x.xml": b"<a/>"}, "not allowed"),
    "twice": ({"word/Document.xml": b"<a/>"}, "two parts"),
    "no document": ({TYPES: b"<Types/>"}, "no .docx document"),
    "bomb": ({"word/a.xml": b"<a>" + b" " * 20_000_000 + b"</a>"}, "times its size"),
    "many": ({f"word/a{number}.xml": b"<a/>" for number in range(600)}, "more than 500 parts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_programs_would_evaluate_or_load_is_refused(name: str) -> None:
    changes, sentence = REFUSED[name]
    with pytest.raises(HouseStyleError, match=sentence):
        check_parts(repacked(usual_house(), changes))


def test_a_refused_file_gives_no_document() -> None:
    with pytest.raises(HouseStyleError, match="active part"):
        writer.render(book_of(document("x")), repacked(usual_house(), REFUSED["macros"][0]))


@pytest.mark.parametrize("data", [b"", b"PK", b"%PDF-1.7", usual_house()[:-40], usual_house()[:3000]])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(HouseStyleError, match="damaged"):
        check_parts(data)


def test_other_compressions_are_refused() -> None:
    with pytest.raises(HouseStyleError, match="compressed in a way"):
        check_parts(repacked(usual_house(), {}, zipfile.ZIP_LZMA))


def test_an_image_of_another_kind_in_the_header_is_refused() -> None:
    data = repacked(usual_house(), {TYPES: (b"image/png", b"image/x-emf")})
    with pytest.raises(HouseStyleError, match="only images of PNG, JPEG and GIF"):
        writer.render(book_of(document("x")), data)


def test_page_numbers_and_styles_are_allowed_in_a_header() -> None:
    check_parts(repacked(usual_house(), {HEADER: field("PAGE \\* MERGEFORMAT")}))
    check_parts(repacked(usual_house(), {HEADER: spread("STYLE", "REF Title")}))
