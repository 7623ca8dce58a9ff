"""CSV files: the delimiter is found, cells stay text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from documents.extraction import tables, text
from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode, Segment, span

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 50
_SAMPLE_CHARACTERS = 64 * 1024


def read(data: bytes, limits: ExtractionLimits) -> Extraction:
    """Return the rows of a CSV file; rows count from 1, as in a spreadsheet program."""
    content, notes = text.decode(data)
    delimiter = find_delimiter(content)
    rows = _rows(content, delimiter, limits)
    segments = [
        Segment(*span("rows", first, last), block)
        for first, last, block in tables.blocks(rows, CharacterBudget(limits))
    ]
    if not segments:
        notes.append("The file has no text.")
    return Extraction.of(FileType.CSV, segments, notes=notes)


def _rows(content: str, delimiter: str, limits: ExtractionLimits) -> Iterator[tuple[int, list[str]]]:
    budget = tables.CellBudget(limits)
    csv.field_size_limit(limits.characters)
    try:
        for number, row in enumerate(csv.reader(io.StringIO(content), delimiter=delimiter), 1):
            cells = [tables.cell_text(each) for each in row]
            budget.spend(sum(map(bool, cells)), len(cells))
            if any(cells):
                yield number, cells
    except csv.Error as error:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: a quotation mark of it is never closed") from error


def find_delimiter(content: str) -> str:
    """Return the delimiter by which most of the first rows have equally many cells."""
    sample = content[:_SAMPLE_CHARACTERS]
    is_cut = len(sample) < len(content)

    def score(delimiter: str) -> float:
        rows = [row for row in islice(csv.reader(io.StringIO(sample), delimiter=delimiter), _SAMPLE_ROWS) if row]
        if is_cut and len(rows) < _SAMPLE_ROWS:
            rows = rows[:-1]
        widths = Counter(len(row) for row in rows if len(row) > 1)
        return max((number * (1 + width / 1000) for width, number in widths.items()), default=0.0)

    try:
        return max(_DELIMITERS, key=score)
    except csv.Error:  # a field of the sample is too long
        return ","
