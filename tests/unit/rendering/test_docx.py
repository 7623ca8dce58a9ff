"""DOCX: python-docx opens it again; styles, tables, links, numbers and times are what they should be."""

from __future__ import annotations

import io
from datetime import datetime

import docx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree

from documents.rendering.chapters import book_of
from documents.rendering.sources import Source
from documents.rendering.writers import docx as writer
from tests.factories.rendering import (
    document,
    docx_headings,
    execution,
    flat,
    heading_texts,
    hostile_document,
    zip_entries,
)

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


@pytest.mark.parametrize("source", [hostile_document(), execution(hostile_document(), document("Short"))])
def test_a_hostile_document_opens_with_its_headings_and_runs_nothing(source: Source) -> None:
    made = writer.render(book_of(source))
    assert docx_headings(made) == [flat(heading) for heading in heading_texts(source)]
    opened = docx.Document(io.BytesIO(made))
    links = [each for each in opened.part.rels.values() if each.reltype == RELATIONSHIP_TYPE.HYPERLINK]
    assert {each.target_ref for each in links} == {"http://ok.example", "http://evil.example/i.png"}
    instructions = etree.fromstring(zip_entries(made)["word/document.xml"]).iter(f"{WORD}instrText", f"{WORD}fldSimple")
    assert [(each.text or "").split()[0] for each in instructions] == ["TOC"]


def test_tables_repeat_their_header_and_fit_the_page() -> None:
    rows = [{"what": "x " * 40, "eur": 5}, {"what": "y", "eur": 7}]
    opened = docx.Document(io.BytesIO(writer.render(book_of(document({"rows": rows})))))
    [table] = opened.tables
    assert [[cell.text.strip() for cell in row.cells] for row in table.rows] == [
        ["What", "Eur"], [("x " * 40).strip(), "5"], ["y", "7"],
    ]  # fmt: skip
    assert len(table._tbl.findall(f".//{WORD}tblHeader")) == 1
    kept = [bool(row._tr.findall(f".//{WORD}keepNext")) for row in table.rows]
    assert kept == [True, False, False]  # the header never stands alone at the end of a page
    section = opened.sections[0]
    widths = [int(each.get(f"{WORD}w")) for each in table._tbl.iter(f"{WORD}gridCol")]
    assert widths[0] > widths[1]
    width = (section.page_width or 0) - (section.left_margin or 0) - (section.right_margin or 0)
    assert abs(sum(widths) * 635 - width) < 3 * 635


def test_lists_are_numbered_each_for_itself() -> None:
    text = "1. a\n2. b\n   - c\n\ntext\n\n5. d"
    made = zip_entries(writer.render(book_of(document({"text": text}))))
    body = etree.fromstring(made["word/document.xml"])
    numbers = [
        (each.find(f"{WORD}ilvl").get(f"{WORD}val"), each.find(f"{WORD}numId").get(f"{WORD}val"))
        for each in body.iter(f"{WORD}numPr")
    ]
    assert [level for level, _ in numbers] == ["0", "0", "1", "0"]
    assert len({numbers[0], numbers[1]}) == 1
    assert len({number for _, number in numbers}) == 3
    starts = [
        each.get(f"{WORD}val") for each in etree.fromstring(made["word/numbering.xml"]).iter(f"{WORD}startOverride")
    ]
    assert starts[-2:] == ["1", "5"]


def test_times_title_and_language_are_those_of_the_version() -> None:
    made = writer.render(book_of(document({"a": 1}, language="de-AT", title="Bericht")))
    properties = docx.Document(io.BytesIO(made)).core_properties
    assert (properties.title, properties.language, properties.author) == ("Bericht", "de-AT", "")
    assert properties.created == properties.modified
    assert properties.created.replace(tzinfo=None) == datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001 - as python-docx has it
    assert b'w:val="de-AT"' in zip_entries(made)["word/styles.xml"]


def test_the_footer_has_provenance_and_page_numbers() -> None:
    opened = docx.Document(io.BytesIO(writer.render(book_of(document("x")))))
    footer = etree.tostring(opened.sections[0].footer._element, encoding="unicode")
    assert "Version 3 of 4 March 2026 · by strong" in footer
    assert " PAGE " in footer
    assert " NUMPAGES " in footer


def test_a_long_provenance_stands_at_the_end() -> None:
    lines = tuple(f"edited by person {number} on a day of March 2026" for number in range(12))
    opened = docx.Document(io.BytesIO(writer.render(book_of(document("x", provenance=lines)))))
    assert [each.text for each in opened.paragraphs][-12:] == list(lines)


def test_text_from_the_right_has_its_direction() -> None:
    made = zip_entries(writer.render(book_of(document("שלום **עולם**"))))["word/document.xml"].decode()
    assert "<w:bidi/>" in made
    assert "<w:b/><w:bCs/><w:rtl/>" in made


def test_the_contents_list_links_to_the_headings() -> None:
    source = document({"items": [{"title": f"Item {number}", "text": "long " * 100} for number in range(3)]})
    body = etree.fromstring(zip_entries(writer.render(book_of(source)))["word/document.xml"])
    targets = [each.get(f"{WORD}anchor") for each in body.iter(f"{WORD}hyperlink")]
    bookmarks = [each.get(f"{WORD}name") for each in body.iter(f"{WORD}bookmarkStart")]
    assert targets == bookmarks
    assert len(targets) == 4


def test_nothing_of_the_library_stays_in_the_file() -> None:
    entries = zip_entries(writer.render(book_of(document("x"))))
    assert not any("thumbnail" in name or "customXml" in name for name in entries)
    assert b"python-docx" not in b"".join(entries.values())
