"""Word documents as Markdown: headings, lists, tables, notes, comments, changes, boxes, pictures."""

from __future__ import annotations

from typing import Any

import pytest

from documents.extraction.results import RefusalCode
from tests.factories.files.documents import docx, item, note, paragraph, run, table, text
from tests.integration.documents.extraction.reading import read, refusal, texts

PICTURE = '<a:graphic><a:graphicData><a:blip r:{how}="{key}"/></a:graphicData></a:graphic>'


def drawing(key: str, *, how: str = "embed", alternative: str = "") -> str:
    inner = PICTURE.format(how=how, key=key)
    return f'<w:drawing><wp:inline><wp:docPr id="1" name="p" descr="{alternative}"/>{inner}</wp:inline></w:drawing>'


def one(body: str, **more: Any) -> str:
    """Return the text of a document of one segment."""
    [found] = texts(read(docx(body, **more), "a.docx"))
    return found


def test_headings_begin_segments_and_are_their_anchors() -> None:
    body = "".join(
        [
            paragraph("Preface"),
            paragraph("Costs", style="berschrift1"),
            paragraph("Ten."),
            paragraph("Own &amp; deep", style="Own"),
            paragraph("Costs", style="Outline"),
            paragraph("Eleven.", style="Loop"),
        ]
    )
    extraction = read(docx(body))
    assert [(each.anchor, each.text) for each in extraction.segments] == [
        ("paragraphs=1", "Preface"),
        ("heading=costs", "# Costs\n\nTen."),
        ("heading=own-deep", "## Own & deep"),
        ("heading=costs-2", "# Costs\n\nEleven."),
    ]
    assert extraction.pages is None


def test_a_long_text_without_headings_is_cut_into_paragraphs() -> None:
    extraction = read(docx("".join(paragraph("x" * 1500) for _ in range(7))))
    assert [each.anchor for each in extraction.segments] == ["paragraphs=1-3", "paragraphs=4-6", "paragraphs=7"]


def test_lists_have_their_marks_and_numbers() -> None:
    body = item("one") + item("deeper", level=1) + paragraph("two", style="Listed") + paragraph("Then:")
    body += item("third", 2) + item("sub", 2, 1) + item("sub", 2, 1) + item("small", 2, 2) + item("fourth", 2)
    assert one(body) == (
        "- one\n  - deeper\n- two\n\nThen:\n\n3. third\n  3.1 sub\n  3.2 sub\n    (i) small\n4. fourth"
    )


def test_numbers_of_headings_are_kept() -> None:
    numbered = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="2"/></w:numPr>'
    extraction = read(docx(paragraph("Payment", style="berschrift1", properties=numbered)))
    assert [(each.anchor, each.text) for each in extraction.segments] == [("heading=3-payment", "# 3. Payment")]


def test_tables_become_tables() -> None:
    merged = "<w:tcPr><w:gridSpan w:val='2'/></w:tcPr><w:p><w:r><w:t>both | ways</w:t></w:r></w:p>"
    continued = "<w:tcPr><w:vMerge/></w:tcPr><w:p><w:r><w:t>not again</w:t></w:r></w:p>"
    body = table(["Item", "Price"], [merged], ["Tea", paragraph("2") + paragraph("3")], [continued, "4"])
    assert one(body).split("\n") == [
        "| Item | Price |",
        "| --- | --- |",
        "| both \\| ways |  |",
        "| Tea | 2<br>3 |",
        "|  | 4 |",
    ]


def test_a_table_of_one_column_is_text() -> None:
    assert one(table(["In a frame"], [paragraph("One") + paragraph("two")])) == "In a frame\n\nOne\ntwo"


def test_notes_and_comments_follow_their_segment() -> None:
    references = "".join(
        run(f'<w:{kind}Reference w:id="{number}"/>')
        for kind, number in (("footnote", 2), ("endnote", 2), ("comment", 0), ("footnote", 99))
    )
    body = paragraph("Costs", style="berschrift1") + paragraph("Ten", content=references)
    footnotes = note("footnote", 0, "line", 'w:type="separator"') + note("footnote", 2, "Plus tax.")
    author = 'w:author="Ada Lovelace" w:date="2026-03-01T10:00:00Z"'
    found = one(
        body,
        footnotes=footnotes,
        endnotes=note("endnote", 2, "See annex."),
        comments=note("comment", 0, "Really?", author),
    )
    assert found.split("\n\n") == [
        "# Costs",
        "Ten[^footnote-2][^endnote-2][^comment-0][^footnote-99]",
        "[^footnote-2]: Plus tax.",
        "[^endnote-2]: See annex.",
        "[^comment-0]: Comment by Ada Lovelace on 2026-03-01: Really?",
    ]


def test_tracked_changes_are_read_as_accepted() -> None:
    inserted = f'<w:ins w:id="1">{run(text(" new"))}</w:ins>'
    deleted = (
        f'<w:del w:id="2"><w:r><w:delText> old</w:delText></w:r></w:del><w:moveFrom>{run(text(" moved"))}</w:moveFrom>'
    )
    gone = paragraph("joined ", properties='<w:rPr><w:del w:id="3"/></w:rPr>')
    extraction = read(docx(paragraph("Text", content=inserted + deleted) + gone + paragraph("with this")))
    assert texts(extraction) == ["Text new\n\njoined with this"]
    assert extraction.notes == ("The file has tracked changes; the text is read as if all were accepted.",)


def test_a_deletion_alone_is_a_tracked_change() -> None:
    deleted = '<w:del w:id="2"><w:r><w:t>old</w:t></w:r></w:del>'
    extraction = read(docx(paragraph("Text", content=deleted)))
    assert texts(extraction) == ["Text"]
    assert extraction.notes[0].startswith("The file has tracked changes")


def test_fields_show_their_results_and_links_their_targets() -> None:
    field = "".join(
        run(each)
        for each in (
            '<w:fldChar w:fldCharType="begin"/>',
            "<w:instrText> DATE </w:instrText><w:t>never shown</w:t>",
            '<w:fldChar w:fldCharType="separate"/>',
            text("1 May"),
            '<w:fldChar w:fldCharType="end"/>',
        )
    )
    links = (("rId9", "hyperlink", "https://example.org/a", True),)
    link = f'<w:hyperlink r:id="rId9">{run(text("the page"))}</w:hyperlink>'
    data = docx(paragraph("On ", content=field + run(text(" see ")) + link), links=links)
    assert texts(read(data)) == ["On 1 May see [the page](https://example.org/a)"]


def test_small_things_in_runs() -> None:
    content = (
        run("<w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t>")
        + run('<w:sym w:font="Wingdings" w:char="F0FE"/>')
        + run(text(" struck"), "<w:strike/>")
        + '<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="1"/></w14:checkbox></w:sdtPr><w:sdtContent/></w:sdt>'
        + "<m:oMath><m:r><m:t>E=mc²</m:t></m:r></m:oMath>"
    )
    assert one(paragraph(content=content)) == "a\tb\nc-d☑~~ struck~~[x]E=mc²"


def test_hidden_text_is_left_out_and_told() -> None:
    extraction = read(docx(paragraph("Seen", content=run(text(" unseen"), "<w:vanish/>"))))
    assert (texts(extraction), extraction.notes) == (["Seen"], ("Hidden text is not read.",))


def test_text_boxes_are_read_once() -> None:
    inner = f"<w:txbxContent>{paragraph('In the box')}</w:txbxContent>"
    box = f"<mc:AlternateContent><mc:Choice><w:drawing>{inner}</w:drawing></mc:Choice>"
    box += f"<mc:Fallback><w:pict><v:shape>{inner}</v:shape></w:pict></mc:Fallback></mc:AlternateContent>"
    assert one(paragraph("Before", content=run(box)) + paragraph("After")) == "Before\n\nIn the box\n\nAfter"
    assert one(paragraph(content=run(f"<w:pict><v:shape>{inner}</v:shape></w:pict>"))) == "In the box"


def test_content_controls_are_read() -> None:
    body = f"<w:sdt><w:sdtContent>{paragraph('In a control')}</w:sdtContent></w:sdt>"
    assert one(body) == "In a control"


def test_pictures_keep_their_places_and_are_never_fetched() -> None:
    links = (("rId7", "image", "media/a.png", False), ("rId8", "image", "http://127.0.0.1:9/x.png", True))
    near = paragraph("See ", content=run(drawing("rId7", alternative="A map of  the harbour")))
    far = paragraph(content=run(drawing("rId8", how="link")))
    extraction = read(docx(near + far, links=links))
    assert texts(extraction) == ["See [picture: A map of the harbour]\n\n[picture (not in the file)]"]
    assert extraction.notes == ("Pictures that lie elsewhere are not fetched.",)


def test_a_document_without_text_says_so() -> None:
    extraction = read(docx(""), "empty.docx")
    assert (extraction.segments, extraction.notes) == ((), ("The file has no text.",))


def test_the_title_comes_from_the_properties() -> None:
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The plan</dc:title></cp:coreProperties>'
    )
    assert read(docx(paragraph("x"), more={"docProps/core.xml": core})).title == "The plan"


@pytest.mark.parametrize("part", ["word/document.xml", "word/_rels/document.xml.rels", "word/styles.xml"])
def test_broken_parts_are_damage(part: str) -> None:
    assert refusal(docx("x", more={part: b"<w:broken"}))[0] is RefusalCode.DAMAGED


def test_elements_nested_without_end_are_damage() -> None:
    body = "<w:sdt><w:sdtContent>" * 5_000 + "</w:sdtContent></w:sdt>" * 5_000
    assert refusal(docx(body)) == (RefusalCode.DAMAGED, "is damaged: its elements are nested too deep")


def test_more_characters_than_the_limit_are_refused() -> None:
    assert refusal(docx(paragraph("12345")), characters=4)[0] is RefusalCode.TOO_LARGE
