"""Files with random faults are read or refused; nothing else happens."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents.extraction import process
from documents.extraction.detection import detect
from documents.extraction.limits import ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, RefusalCode
from documents.extraction.text import clean
from tests.factories.files import documents, pdfs, workbooks
from tests.integration.documents.extraction.reading import read
from tests.support import fuzzing

PARTS = {
    "document": documents.paragraph("Costs", style="berschrift1") + documents.item("one") + documents.table(["a", "b"]),
    "sheet": '<sheetData><row r="1"><c r="A1" t="str"><v>x</v></c><c r="B1"><f>1</f><v>2</v></c></row></sheetData>',
}
FILES = [
    documents.docx(PARTS["document"]),
    workbooks.xlsx({"S": [["a", 1.5]]}),
    workbooks.picture("PNG"),
    workbooks.picture("JPEG"),
    "Größe;Länge\n1;2\n".encode("cp1252"),
]


def changed(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    """Return a file with some bytes replaced, and its end cut off."""
    found = bytearray(data)
    for place, value in changes:
        found[place % len(found)] = value
    return bytes(found[: max(len(found) - cut, 1)])


CHANGES = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=8)
CUTS = st.one_of(st.just(0), st.integers(0, 500))


def read_or_refuse(data: bytes, name: str = "a") -> None:
    try:
        assert isinstance(read(data, name), Extraction)
    except FileRefused as refused:
        assert isinstance(refused.code, RefusalCode)
        assert refused.detail


@settings(max_examples=fuzzing.examples(300))
@given(st.sampled_from(FILES), CHANGES, CUTS)
def test_changed_files_are_read_or_refused(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    read_or_refuse(changed(data, changes, cut), "a.csv" if data is FILES[-1] else "a")


@settings(max_examples=fuzzing.examples(200))
@given(st.sampled_from(list(PARTS)), CHANGES, CUTS)
def test_changed_parts_of_archives_are_read_or_refused(part: str, changes: list[tuple[int, int]], cut: int) -> None:
    inner = changed(PARTS[part].encode(), changes, cut).decode("latin-1")
    read_or_refuse(documents.docx(inner) if part == "document" else workbooks.raw_xlsx(inner))


@settings(max_examples=fuzzing.examples(300))
@given(st.binary(max_size=2_000), st.sampled_from(["a", "a.txt", "a.csv", "a.md", "a.pdf"]))
def test_random_bytes_have_a_type_or_a_refusal(data: bytes, name: str) -> None:
    try:
        detect(data, name)
    except FileRefused as refused:
        assert refused.detail


@settings(max_examples=fuzzing.examples(200))
@given(st.text(st.sampled_from("aÄ€漢😀 \n\r\t\0\x07\x0c\x85\u2028\ufffe\ufdd0"), min_size=1, max_size=200))
def test_any_text_in_utf_8_comes_back_clean(text: str) -> None:
    data = text.encode("utf-8", "ignore")
    try:
        extraction = read(data, "a.txt")
    except FileRefused:
        return
    stored = "\n".join(each.text for each in extraction.segments)
    assert stored == clean(stored)
    assert "\0" not in stored


@pytest.mark.parametrize("seed", range(fuzzing.examples(50)))
async def test_changed_pdfs_end_the_process_or_are_read(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - faults, no secrets
    data = bytearray(pdfs.with_form() if seed % 2 else pdfs.simple("One", "Two", title="Title"))
    for _ in range(source.randint(1, 40)):
        data[source.randrange(9, len(data))] = source.randrange(256)
    try:
        extraction = await process.extract(bytes(data), name="a", limits=ExtractionLimits(seconds=20))
        assert extraction.pages
    except FileRefused as refused:
        assert refused.detail
