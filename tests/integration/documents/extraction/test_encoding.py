"""Texts in many encodings, short ones too."""

from __future__ import annotations

import pytest

from documents.extraction import encoding
from documents.extraction.results import RefusalCode
from documents.extraction.text import SEGMENT_CHARACTERS, clean
from tests.integration.documents.extraction.reading import read, refusal, texts

SHORT = {
    "cp1252": [
        "Müller bestellt 12 Stück für 30 €.",
        "Größe;Länge;Breite\nä;ö;ü\n",
        "L'été dernier, nous avons mangé à Besançon.",
        "El niño comió piñas mañana.",
        "naïve café",
        "Straße 5, Köln",
        "“Quoted” – it’s 5 € — done",
        "coração não é fácil, você está aí?",
        "Ångström, Ærø, Sjøgren, smörgåsbord",
        "25 °C, 3 m²",
    ],
    "cp1251": ["Привет, мир! Это короткий текст.", "Отчёт за год", "Договор поставки № 5", "цена", "Цена: 5 руб."],
    "koi8_r": ["Привет, мир! Это короткий текст.", "Отчёт за год"],
    "cp866": ["Привет, мир! Это короткий текст."],
    "shift_jis": ["こんにちは世界。これは短い文章です。", "東京都港区", "見積書\n合計 100円", "株式会社", "カタカナ"],
    "euc_jp": ["こんにちは世界。これは短い文章です。"],
    "iso2022_jp": ["こんにちは世界。"],
    "gbk": ["你好，世界。这是一个简短的文本。", "北京市海淀区", "合同编号", "费用报告：总计一百元", "合同"],
    "big5": ["你好，世界。這是一個簡短的文本。", "台北市中山區"],
    "euc_kr": ["안녕하세요 세계. 짧은 글입니다.", "계약 번호"],
    "cp1250": ["Příliš žluťoučký kůň úpěl ďábelské ódy.", "Zażółć gęślą jaźń", "Árvíztűrő tükörfúrógép"],
    "cp1253": ["Καλημέρα κόσμε, αυτό είναι ένα κείμενο.", "Αθήνα"],
    "cp1254": ["Türkçe bir metin: şu güzel ağaç, ığdır."],
    "cp1255": ["שלום עולם, זה טקסט קצר.", "תל אביב"],
    "cp1256": ["مرحبا بالعالم هذا نص قصير.", "العقد رقم"],
    "iso8859_15": ["Prix: 10 €, cœur"],
    "mac_roman": ["Größe;Länge"],
    "cp850": ["Größe;Länge;Übermaß"],
    "utf-8": ["Größe", "Привет", "漢字 😀", "plain"],
    "utf-8-sig": ["Größe"],
    "utf-16": ["Größe und Länge", "漢字"],
    "utf-16-le": ["Plain text, two lines\nof it."],
    "utf-16-be": ["Plain text, two lines\nof it."],
    "utf-32": ["Größe"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, all_of_it in SHORT.items() for text in all_of_it])
def test_short_texts_are_read_in_their_encoding(name: str, text: str) -> None:
    found = encoding.decode(text.encode(name))
    assert found is not None
    assert found.text == text


def test_a_guess_is_told() -> None:
    assert read("Größe und Länge".encode("cp1252"), "a.txt").notes == (
        "The text was read as Windows-1252, by what its characters look like.",
    )
    assert read("Größe".encode(), "a.txt").notes == ()


def test_what_differs_late_in_a_long_text_counts() -> None:
    text = "plain line\n" * 20_000 + "Größe und Länge\n"
    found = encoding.decode(text.encode("cp1252"))
    assert found is not None
    assert found.text == text


def test_utf_8_with_few_faults_stays_utf_8() -> None:
    data = ("Größe und Länge, überall Umlaute. " * 20).encode() + "ü".encode()[:1]
    extraction = read(data, "a.txt")
    assert texts(extraction)[0].startswith("Größe und Länge")
    assert "Some characters could not be read." in extraction.notes


def test_nul_characters_are_removed_and_many_of_them_are_no_text() -> None:
    extraction = read(b"a long enough line of text " * 10 + b"\0 end", "a.txt")
    assert "\0" not in texts(extraction)[0]
    assert "NUL characters were removed." in extraction.notes
    assert refusal(b"a\0" * 3 + b"bc\0\0\0d" * 30, "a.txt")[0] is RefusalCode.UNSUPPORTED_TYPE


def test_line_ends_are_one_kind_and_control_characters_go() -> None:
    assert clean("a\r\nb\rc\nd\x0ce\u2028f\x85g\x07\x9b\ud800\ufffe\tz") == "a\nb\nc\nd\ne\nf\ng\tz"


def test_segments_name_their_lines() -> None:
    line = "x" * 999
    extraction = read("\n".join([line] * 10).encode(), "a.txt")
    assert [each.anchor for each in extraction.segments] == ["lines=1-4", "lines=5-8", "lines=9-10"]
    assert all(len(text) >= SEGMENT_CHARACTERS - 1 for text in texts(extraction)[:2])
    assert read(b"one", "a.txt").segments[0].anchor == "lines=1"


def test_markdown_has_its_first_heading_as_title() -> None:
    extraction = read(b"intro\n\n# The title #\n\ntext", "a.md")
    assert (extraction.title, extraction.media_type) == ("The title", "text/markdown")


def test_more_characters_than_the_limit_are_refused() -> None:
    assert refusal(b"12345", characters=4) == (RefusalCode.TOO_LARGE, "has more than 4 characters of text")
    assert texts(read(b"1234", characters=4)) == ["1234"]


def test_a_text_of_white_space_says_so() -> None:
    extraction = read(b" \n\n", "a.txt")
    assert (extraction.segments, extraction.notes) == ((), ("The file has no text.",))
