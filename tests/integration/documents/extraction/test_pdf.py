"""PDF files: pages, titles, forms, remarks, attachments, passwords, and broken ones."""

from __future__ import annotations

import pytest

from documents.extraction.pdf import ranges
from documents.extraction.results import RefusalCode
from tests.factories.files import pdfs
from tests.factories.files.pdfs import Pdf
from tests.integration.documents.extraction.reading import read, refusal, texts


def test_each_page_is_a_segment() -> None:
    extraction = read(pdfs.simple("First page\nline two", "Second (page)", title="The report"), "a.pdf")
    assert (extraction.title, extraction.pages, extraction.media_type) == ("The report", 2, "application/pdf")
    assert [(each.anchor, each.label) for each in extraction.segments] == [("page=1", "page 1"), ("page=2", "page 2")]
    assert texts(extraction) == ["First page\nline two", "Second (page)"]
    assert extraction.notes == ()


def test_pages_without_text_are_counted_and_told() -> None:
    extraction = read(pdfs.simple("", "Text", "", ""))
    assert extraction.pages == 4
    assert extraction.notes == ("Pages 1, 3 to 4 have no text. Models that read PDFs see them as pictures.",)
    assert texts(extraction) == ["", "Text", "", ""]


def test_fields_and_remarks_follow_the_text_of_their_page() -> None:
    [text] = texts(read(pdfs.with_form()))
    assert text.split("\n") == [
        "An application",
        "",
        "[Field Name: Ada Lovelace]",
        "[Field Agreed: checked]",
        "[Field Urgent: not checked]",
        "[Comment by Grace: Please check.]",
    ]


def test_attachments_are_named_and_not_read() -> None:
    extraction = read(pdfs.with_attachment("figures.xlsx", b"secret figures"))
    assert extraction.notes == ("Attached files are not read: figures.xlsx.",)
    assert "secret" not in texts(extraction)[0]


def test_a_real_password_is_refused_and_an_empty_one_is_none() -> None:
    assert refusal(Pdf(["Text"], encrypt=("secret", "owner")).to_bytes()) == (
        RefusalCode.ENCRYPTED,
        "is protected by a password",
    )
    extraction = read(Pdf(["For all to read"], encrypt=("", "owner")).to_bytes())
    assert (texts(extraction), extraction.encrypted) == (["For all to read"], True)
    assert extraction.notes == ("It is encrypted, without a password. Models get its text, and not the file.",)
    assert not read(Pdf(["For all to read"]).to_bytes()).encrypted


def test_turned_pages_and_text_from_right_to_left() -> None:
    for turn in (90, 180, 270):
        assert texts(read(Pdf(["Turned text"], page_entries=f"/Rotate {turn}").to_bytes())) == ["Turned text"]
    pdf = Pdf(["ABCD"])
    stream = pdf.add_stream(pdfs.with_characters("םולש").encode())
    pdf.font_entries = f"/ToUnicode {stream} 0 R"
    assert texts(read(pdf.to_bytes())) == ["שלום"]


def test_words_divided_at_the_end_of_a_line_are_joined() -> None:
    assert texts(read(pdfs.simple("The harbour of\nthe is-\nland lies east"))) == [
        "The harbour of\nthe island lies east"
    ]


def test_text_outside_of_the_page_is_not_read() -> None:
    pdf = Pdf(["Seen"], page_entries="/CropBox [0 700 595 842]")
    hidden = pdf.add_stream(b"BT /F1 12 Tf 72 100 Td (Hidden) Tj ET")
    seen = pdf.add_stream(pdfs.drawn("Seen"))
    pdf.page_entries += f" /Contents [{seen} 0 R {hidden} 0 R]"
    assert texts(read(pdf.to_bytes())) == ["Seen"]


def test_more_pages_than_the_limit_are_refused() -> None:
    data = pdfs.simple("a", "b", "c")
    assert refusal(data, pages=2) == (RefusalCode.TOO_MANY_PAGES, "has 3 pages; 2 pages are the limit")
    assert read(data, pages=3).pages == 3


def test_more_characters_than_the_limit_are_refused() -> None:
    assert refusal(pdfs.simple("abc", "def"), characters=5)[0] is RefusalCode.TOO_LARGE


def test_five_hundred_pages_are_read() -> None:
    extraction = read(pdfs.simple(*(f"Page {number}" for number in range(1, 501))))
    assert (extraction.pages, extraction.segments[499].text) == (500, "Page 500")


def test_a_broken_table_of_places_is_rebuilt() -> None:
    data = pdfs.simple("Still here")
    place = data.rindex(b"startxref\n")
    assert texts(read(data[:place] + b"startxref\n99999999\n%%EOF")) == ["Still here"]


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.7\n" + bytes(1000), b"%PDF-1.7\n1 0 obj\n<< /Type"])
def test_what_only_begins_as_a_pdf_is_damaged(data: bytes) -> None:
    assert refusal(data)[0] is RefusalCode.DAMAGED


def test_an_endless_tree_of_pages_ends() -> None:
    code, detail = refusal(pdfs.with_endless_tree())
    assert (code, detail.startswith("is damaged")) == (RefusalCode.DAMAGED, True)


def test_claimed_pages_that_do_not_exist_do_no_harm() -> None:
    pdf = Pdf(["Page"])
    pdf.objects[2] = b"<< /Type /Pages /Count 1000000000 /Kids [5 0 R] >>"
    assert texts(read(pdf.to_bytes())) == ["Page"]
    pdf.objects[2] = b"<< /Type /Pages /Count 400 /Kids [5 0 R] >>"
    extraction = read(pdf.to_bytes())
    assert (texts(extraction)[0], extraction.notes) == ("Page", ("Pages 2 to 400 cannot be read.",))


def test_ranges_of_pages_in_words() -> None:
    assert ranges([4]) == "Page 4"
    assert ranges([1, 2, 3, 7, 9, 10]) == "Pages 1 to 3, 7, 9 to 10"
