"""Archives that would harm are refused before a library reads them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from documents.extraction import archives
from documents.extraction.results import FileRefused, RefusalCode
from tests.factories.files.documents import archive, docx, paragraph, part, relationships
from tests.factories.files.workbooks import raw_xlsx
from tests.integration.documents.extraction.reading import read, refusal

DOCUMENT = docx(paragraph("Text"))


def settings_with(kind: str, target: str) -> bytes:
    more = {"word/_rels/settings.xml.rels": relationships(("rId1", kind, target, True))}
    return docx(paragraph("Text"), more=more)


@pytest.mark.parametrize(
    "name", ["word/vbaProject.bin", "customUI/vbaProject.bin", "xl/macrosheets/sheet1.xml", "word/VBAPROJECT.BIN"]
)
def test_parts_with_macros_are_refused(name: str) -> None:
    assert refusal(docx(paragraph("Text"), more={name: b"x"}))[0] is RefusalCode.MACROS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "name", ["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels", "docProps/x.xml"]
)
def test_declarations_of_entities_are_refused(name: str, encoding: str) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE d [<!ENTITY l0 "ha">{laughs}]><d>&l9;</d>'
    code, detail = refusal(docx(paragraph("Text"), more={name: xml.encode(encoding)}))
    assert (code, detail) == (RefusalCode.EXTERNAL_ENTITIES, "declares XML entities, which no office program writes")


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("attachedTemplate", "http://203.0.113.9/evil.dotm"),
        ("attachedTemplate", "\\\\203.0.113.9\\share\\evil.dotm"),
        ("attachedTemplate", "file://203.0.113.9/share/evil.dotm"),
        ("attachedTemplate", "file:///\\\\203.0.113.9\\evil.dotm"),
        ("attachedTemplate", "mhtml:http://203.0.113.9/x"),
        ("oleObject", "https://203.0.113.9/x.html!"),
        ("frame", "https://203.0.113.9/"),
    ],
)
def test_active_content_on_other_computers_is_refused(kind: str, target: str) -> None:
    code, detail = refusal(settings_with(kind, target))
    assert code is RefusalCode.EXTERNAL_CONTENT
    assert detail.startswith("loads a template or an object from another computer")


@pytest.mark.parametrize(
    "target", ["file:///C:\\Users\\a\\Normal.dotm", "C:\\a.dotx", "Normal.dotm", "templates/a.dotx"]
)
def test_a_template_on_the_own_computer_is_only_told(target: str) -> None:
    assert read(settings_with("attachedTemplate", target)).notes == (
        "A template on its author's computer is not read.",
    )


def test_entries_that_expand_too_much_are_a_bomb() -> None:
    bomb = docx(paragraph("Text"), more={"word/media/a.bin": bytes(archives.MAX_RATIO * 40_000)})
    assert len(bomb) < 40_000
    assert refusal(bomb)[0] is RefusalCode.ARCHIVE_BOMB


def test_sizes_of_all_entries_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_EXPANDED_BYTES", 3_000)
    assert refusal(docx(paragraph("Text" * 1000)))[0] is RefusalCode.ARCHIVE_BOMB


def test_more_entries_than_the_limit_are_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 8)
    assert refusal(DOCUMENT)[0] is RefusalCode.ARCHIVE_BOMB


def test_a_size_that_is_understated_is_damage() -> None:
    data = bytearray(docx(paragraph("Text" * 5_000)))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        size = struct.pack("<I", file.getinfo("word/document.xml").file_size)
    changed = data.replace(size, struct.pack("<I", 10))
    assert changed != data
    assert refusal(bytes(changed))[0] is RefusalCode.DAMAGED


def test_entries_that_share_their_bytes_are_a_bomb() -> None:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
            written.writestr("a", bytes(100_000))
            first = written.getinfo("a")
            for name in ("b", "c"):
                again = zipfile.ZipInfo(name)
                for each in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                    setattr(again, each, getattr(first, each))
                written.filelist.append(again)
        data = file.getvalue()
    with pytest.raises(FileRefused) as refused:
        archives.Archive(data)
    assert (refused.value.code, refused.value.detail) == (
        RefusalCode.ARCHIVE_BOMB,
        "is an archive whose entries overlap",
    )


def test_encrypted_entries_are_refused() -> None:
    data = bytearray(DOCUMENT)
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1
    assert refusal(bytes(data)) == (RefusalCode.ENCRYPTED, "is protected by a password")


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/passwd", "a/../../b", "word\\document.xml", "C:/a"])
def test_paths_that_lead_out_are_refused(name: str) -> None:
    assert refusal(docx(paragraph("Text"), more={name: "x"}))[0] is RefusalCode.DAMAGED


def test_two_entries_of_one_name_are_refused() -> None:
    assert refusal(docx(paragraph("Text"), more={"WORD/document.xml": "x"}))[0] is RefusalCode.DAMAGED


def test_other_compressions_are_refused() -> None:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as written:
            written.writestr("a", b"a" * 100)
        data = file.getvalue()
    assert refusal(data)[0] is RefusalCode.DAMAGED


def test_an_archive_with_something_before_or_behind_it_is_damaged() -> None:
    assert refusal(DOCUMENT + b"more")[0] is RefusalCode.DAMAGED
    assert refusal(archive({"a": "b"}) + DOCUMENT)[0] is RefusalCode.DAMAGED


@pytest.mark.parametrize("data", [DOCUMENT, raw_xlsx("<sheetData/>")])
def test_truncated_and_changed_archives_are_refused_or_read(data: bytes) -> None:
    for length in range(1, len(data), 97):
        assert refusal(data[:length], "a.docx" if data is DOCUMENT else "a.xlsx")[0] in RefusalCode


def test_archives_within_archives_are_not_opened() -> None:
    inner = archive({"a": bytes(10_000)})
    for _ in range(5):
        inner = archive({"again.zip": inner})
    assert refusal(inner)[0] is RefusalCode.UNSUPPORTED_TYPE
    assert read(docx(paragraph("Text"), more={"word/embeddings/a.zip": inner})).characters == 4


def test_parts_may_have_any_encoding_that_xml_has() -> None:
    xml = part("document", f"<w:body>{paragraph('Größe')}</w:body>").replace("UTF-8", "utf-16")
    extraction = read(docx("", more={"word/document.xml": xml.encode("utf-16")}))
    assert extraction.segments[0].text == "Größe"


def test_bytes_that_deflate_cannot_read_are_damage() -> None:
    data = bytearray(DOCUMENT)
    place = data.index(b"word/document.xml") + len(b"word/document.xml")
    data[place : place + 20] = zlib.crc32(b"x").to_bytes(4, "big") * 5
    assert refusal(bytes(data))[0] is RefusalCode.DAMAGED
