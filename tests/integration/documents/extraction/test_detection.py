"""The type of a file follows from its content; a name that claims another type is refused."""

from __future__ import annotations

import pytest

from documents.extraction.detection import detect
from documents.extraction.results import FileType, RefusalCode
from tests.factories.files import documents, pdfs, workbooks
from tests.integration.documents.extraction.reading import refusal

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def ole(stream: str) -> bytes:
    return OLE + stream.encode("utf-16-le") + bytes(100)


FILES = {
    FileType.PDF: pdfs.simple("Text"),
    FileType.DOCX: documents.docx(documents.paragraph("Text")),
    FileType.XLSX: workbooks.xlsx({"Sheet": [["Text"]]}),
    FileType.PNG: workbooks.picture("PNG"),
    FileType.JPEG: workbooks.picture("JPEG"),
    FileType.TEXT: b"Text",
}


@pytest.mark.parametrize("kind", FILES)
def test_the_content_tells_the_type_whatever_the_name_is(kind: FileType) -> None:
    for name in ("file", "file.bin", "", "a.b/c"):
        assert detect(FILES[kind], name) is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", FileType.CSV),
        ("A.TSV", FileType.CSV),
        ("notes.md", FileType.MARKDOWN),
        ("notes.markdown", FileType.MARKDOWN),
        ("notes.txt", FileType.TEXT),
        ("notes.log", FileType.TEXT),
        ("page.html", FileType.TEXT),
    ],
)
def test_names_tell_texts_apart(name: str, kind: FileType) -> None:
    assert detect(b"a,b\n1,2\n", name) is kind


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("brief.pdf", FileType.DOCX, "is named .pdf, and its content is a Word document (DOCX)"),
        ("brief.docx", FileType.PDF, "is named .docx, and its content is a PDF"),
        ("brief.pdf", FileType.TEXT, "is named .pdf, and its content is a text"),
        ("notes.txt", FileType.PDF, "is named .txt, and its content is a PDF"),
        ("photo.jpg", FileType.PNG, "is named .jpg, and its content is a PNG picture"),
        ("costs.csv", FileType.XLSX, "is named .csv, and its content is an Excel workbook (XLSX)"),
    ],
)
def test_a_name_that_claims_another_type_is_refused(name: str, kind: FileType, says: str) -> None:
    assert refusal(FILES[kind], name) == (RefusalCode.TYPE_MISMATCH, says)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", RefusalCode.EMPTY, "is empty"),
        (documents.archive({"a.txt": "a"}), RefusalCode.UNSUPPORTED_TYPE, "is a ZIP archive."),
        (documents.archive({"ppt/presentation.xml": "a"}), RefusalCode.UNSUPPORTED_TYPE, "is a PowerPoint"),
        (documents.archive({"mimetype": "a"}), RefusalCode.UNSUPPORTED_TYPE, "is an OpenDocument file"),
        (ole("EncryptedPackage"), RefusalCode.ENCRYPTED, "is protected by a password"),
        (ole("WordDocument"), RefusalCode.UNSUPPORTED_TYPE, "is a Word document of the old format (.doc)"),
        (ole("Workbook"), RefusalCode.UNSUPPORTED_TYPE, "is an Excel workbook of the old format (.xls)"),
        (ole("Other"), RefusalCode.UNSUPPORTED_TYPE, "is a file of an old office program"),
        (b"GIF89a" + bytes(20), RefusalCode.UNSUPPORTED_TYPE, "is a GIF picture"),
        (b"{\\rtf1 text}", RefusalCode.UNSUPPORTED_TYPE, "is an RTF document"),
        (b"RIFF\0\0\0\0WEBPVP8 ", RefusalCode.UNSUPPORTED_TYPE, "is a WebP picture"),
        (b"\0\0\0\x18ftypheic\0\0", RefusalCode.UNSUPPORTED_TYPE, "is a HEIC or AVIF picture"),
        (b"\x7fELF" + bytes(60), RefusalCode.UNSUPPORTED_TYPE, "is a program"),
        (bytes(range(256)) * 4, RefusalCode.UNSUPPORTED_TYPE, "is neither a text nor"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, code: RefusalCode, says: str) -> None:
    found, detail = refusal(data)
    assert (found, detail.startswith(says)) == (code, True), detail


def test_short_marks_of_programs_may_begin_a_text() -> None:
    assert detect(b"BMW is a maker of cars.", "a.txt") is FileType.TEXT
    assert detect(b"MZ is an abbreviation.", "a.txt") is FileType.TEXT
    assert refusal(b"MZ\x90\0\3" + bytes(50))[1].startswith("is a program")


@pytest.mark.parametrize("kind", [FileType.PDF, FileType.PNG, FileType.JPEG])
def test_a_file_of_two_types_is_refused(kind: FileType) -> None:
    second = documents.archive({"evil.txt": "evil"})
    code, detail = refusal(FILES[kind] + second)
    assert (code, "and a ZIP archive at once" in detail) == (RefusalCode.TYPE_MISMATCH, True)


def test_a_zip_that_is_a_pdf_too_is_refused() -> None:
    data = documents.archive({"%PDF-1.7": "x"})
    assert refusal(data) == (RefusalCode.TYPE_MISMATCH, "is a ZIP archive and a PDF at once")


@pytest.mark.parametrize("name", ["report.docm", "report.docx", "report"])
def test_macros_are_refused_by_the_declared_type(name: str) -> None:
    data = documents.docx(documents.paragraph("Text"), main_type=documents.MACRO_TYPE)
    assert refusal(data, name) == (RefusalCode.MACROS, "has macros; save it without macros")


def test_templates_are_not_documents() -> None:
    data = documents.docx("", main_type=documents.WORD_TYPE.replace("document.main", "template.main"))
    assert refusal(data)[0] is RefusalCode.UNSUPPORTED_TYPE
