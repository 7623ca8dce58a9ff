"""PDF: standards, text, bookmarks, page numbers; what the fonts cannot show is marked and named."""

from __future__ import annotations

import io
import re
import unicodedata

import pypdfium2
import pytest

from documents.rendering.chapters import book_of
from documents.rendering.content.tree import Table, plain
from documents.rendering.sources import Source
from documents.rendering.writers import pdf
from documents.rendering.writers.glyphs import MARK, GlyphCheck, faces_of
from documents.rendering.writers.layout import breakable, column_widths, footer_of, is_right_to_left
from tests.factories.rendering import document, execution, flat, heading_texts, hostile_document, pdf_text

SCRIPTS = {
    "Latin": "Zażółć gęślą jaźń, Iñtërnâtiônàlizætiøn, Tiếng Việt, ﬁ Ǆ",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, ἀρχή",
    "Cyrillic": "Съешь же ещё этих мягких французских булок; Їжак, Љубав",
    "Armenian": "Հայերեն",
    "Hebrew": "שלום עולם",
    "signs": "€ £ ₿ → ⇒ ≤ ≠ ∞ ✓ ✗ ● ■ ½ · … “„” № ™ °",
}


def is_archival(data: bytes) -> bool:
    """Return whether the file says that it is PDF/A and PDF/UA."""
    return b"pdfaid:part" in data and b"pdfuaid:part" in data


@pytest.mark.parametrize("source", [hostile_document(), execution(hostile_document(), document("Short"))])
def test_a_hostile_document_has_all_its_headings_and_words(source: Source) -> None:
    made = pdf.render(book_of(source))
    text = pdf_text(made)
    for heading in heading_texts(source):
        shown = [heading] if heading.isascii() else [word for word in heading.split() if word.isascii()]
        assert all(part.replace(" ", "") in text.replace(" ", "") for part in shown)
    assert 'read("/etc/passwd")' in text
    assert "<script>alert(1)</script>" in text
    assert is_archival(made)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_that_the_fonts_cover(script: str) -> None:
    text = SCRIPTS[script]
    made = pdf.render(book_of(document({"a": f"{text}\n\n**{text}**\n\n`{text}`", "b": [text]}, title=text)))
    assert is_archival(made)  # its rules allow no missing glyph
    shown = pdf_text(made)
    assert MARK not in shown
    assert "could not show" not in shown


def test_what_the_fonts_cannot_show_is_marked_and_named() -> None:
    text = pdf_text(pdf.render(book_of(document({"a": "one 🚀 two 漢漢 ✅\ufe0f"}))))
    assert f"one {MARK} two {MARK}{MARK} {MARK}" in text
    assert (
        "could not show 4 characters; □ stands in the place of each: U+6F22 CJK UNIFIED IDEOGRAPH-6F22 (2 times), "
        "U+2705 WHITE HEAVY CHECK MARK, U+1F680 ROCKET."
    ) in text


def test_bookmarks_and_page_numbers() -> None:
    items = [{"title": f"Item {number}", "text": "Long text. " * 120} for number in range(6)]
    source = execution(document({"items": items}), document({"items": items}, title="Second"))
    made = pdf.render(book_of(source))
    opened = pypdfium2.PdfDocument(io.BytesIO(made))
    marks = [flat(each.get_title()) for each in opened.get_toc()]
    assert marks == heading_texts(source)[1:]
    pages = len(opened)
    texts = [flat(opened[number].get_textpage().get_text_bounded()) for number in range(pages)]
    opened.close()
    assert pages > 4
    for number, text in enumerate(texts, 1):
        assert f"{number} of {pages}" in text
        assert "Exported by dora" in text
    assert re.search(r"Second[ .]+\d", texts[1])


def test_a_word_without_end_stays_on_the_page() -> None:
    word = "".join("abcdefgh"[number * number % 8] for number in range(3_000))
    source = document({"text": word, "rows": [{"a": word[:200], "b": "x"}, {"a": "y", "b": "z"}]})
    opened = pypdfium2.PdfDocument(io.BytesIO(pdf.render(book_of(source))))
    for number in range(len(opened)):
        page = opened[number]
        lines = page.get_textpage()
        for index in range(lines.count_rects()):
            assert lines.get_rect(index)[2] < page.get_width() - 40
    opened.close()
    assert word in pdf_text(pdf.render(book_of(source))).replace(" ", "")


@pytest.mark.parametrize(
    "style", ["", *(pytest.param(each, marks=pytest.mark.torture) for each in ("bold", "italic", "bold italic"))]
)
def test_the_fonts_have_all_that_the_tables_say(style: str) -> None:
    letters: set[str] = set()
    for ranges in faces_of(style or "regular"):
        for begin, end in re.findall(r"\\U([0-9a-f]{8})(?:-\\U([0-9a-f]{8}))?", ranges):
            letters |= {chr(point) for point in range(int(begin, 16), int(end or begin, 16) + 1)}
    text = " ".join(sorted(letter for letter in letters if not unicodedata.category(letter).startswith("M")))
    marks = {"": "", "bold": "**", "italic": "*", "bold italic": "***"}[style]
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
    made = pdf.render(book_of(document({"a": f"{marks}a {escaped} z{marks}"})))
    assert len(letters) > 6_000
    assert is_archival(made)  # a missing glyph breaks its rules
    assert "could not show" not in pdf_text(made)


def test_marks_on_letters_are_kept_where_one_font_has_both() -> None:
    check = GlyphCheck()
    assert check.shown("e\u0301 \u0435\u0301") == "e\u0301 \u0435\u0301"
    assert check.shown("漢\u0301") == MARK + MARK
    assert check.missing.total() == 2
    assert GlyphCheck().shown("\ue000") == MARK  # private use


def test_columns_are_as_wide_as_their_texts() -> None:
    table = Table((plain("Id"), plain("Text")), ((plain("1"), plain("word " * 40)),), ("", ""))
    first, second = column_widths(table)
    assert first < 0.1
    assert first + second == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "shown"), [("abcd", "abcd"), ("abcdefghij", "abcd\u200befgh\u200bij"), ("ab cdefg", "ab cdef\u200bg")]
)
def test_long_words_may_be_broken(text: str, shown: str) -> None:
    assert breakable(text, 4) == shown


def test_a_footer_is_short() -> None:
    assert footer_of(("a", "b")) == ("a · b", True)
    assert footer_of(("x" * 170, "y" * 100)) == ("x" * 170 + " · …", False)


def test_the_first_letter_gives_the_direction() -> None:
    assert is_right_to_left(plain("12 שלום a"))
    assert not is_right_to_left(plain("a שלום"))
