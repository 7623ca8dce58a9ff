"""Excel workbooks: each sheet as a table of what its cells show, formulas by their stored values."""

from __future__ import annotations

import datetime
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

from documents.extraction import tables
from documents.extraction.archives import Archive, check_parts
from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode, Segment, span
from documents.extraction.text import clean

#: What openpyxl raises for workbooks that do not follow the standard.
_DAMAGES = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, ParseError)
_STRICT = b"http://purl.oclc.org/ooxml/spreadsheetml/main"
#: A formula without a stored value, as programs write it that do not calculate.
_NO_VALUE = re.compile(rb"(</f>|<f\b[^<>]*/>)(<v\s*/>|<v></v>)?</c>")
_CARRY_BYTES = 1024
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml$", re.IGNORECASE)
_NOT_READ = (
    (re.compile(r"xl/(comments|threadedComments)[\w/]*\.xml$", re.IGNORECASE), "Comments on cells are not read."),
    (re.compile(r"xl/(charts|chartsheets)/", re.IGNORECASE), "Charts are not read; the cells that they show are."),
    (re.compile(r"xl/media/", re.IGNORECASE), "Pictures in the workbook are not read."),
    (re.compile(r"xl/embeddings/", re.IGNORECASE), "Embedded files are not read."),
)


def read(data: bytes, limits: ExtractionLimits) -> Extraction:
    """Return the sheets of a workbook, hidden ones too.

    Raises:
        FileRefused: the workbook is damaged, has active content, or too many cells or characters.
    """
    archive = Archive(data)
    notes = check_parts(archive)
    if "xl/workbook.xml" in archive and _STRICT in archive.read("xl/workbook.xml"):
        detail = "is a workbook of the kind Strict Open XML; save it as a common .xlsx"
        raise FileRefused(RefusalCode.UNSUPPORTED_TYPE, detail)
    notes += [note for pattern, note in _NOT_READ if any(map(pattern.match, archive.names))]
    notes += _formulas_without_value(archive)
    try:
        return _read_workbook(data, notes, limits)
    except _DAMAGES as error:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: the workbook cannot be read") from error


def _read_workbook(data: bytes, notes: list[str], limits: ExtractionLimits) -> Extraction:
    from openpyxl import load_workbook  # noqa: PLC0415 - loaded only for workbooks

    warnings.simplefilter("ignore")
    workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    budget, cells = CharacterBudget(limits), tables.CellBudget(limits)
    segments: list[Segment] = []
    for sheet in workbook.worksheets:
        title = clean(sheet.title)
        if sheet.sheet_state != "visible":
            notes.append(f"The sheet “{title}” is hidden; its text is read.")
        groups = list(tables.blocks(_rows(sheet, cells), budget))
        if not groups:
            notes.append(f"The sheet “{title}” is empty.")
        segments += [_segment(title, group, is_only=len(groups) == 1) for group in groups]
    return Extraction.of(FileType.XLSX, segments, notes=notes, title=clean(workbook.properties.title or ""))


def _segment(title: str, group: tuple[int, int, str], *, is_only: bool) -> Segment:
    first, last, text = group
    anchor = f"sheet={anchor_value(title)}"
    if is_only:
        return Segment(anchor, f"sheet {title}", text)
    rows, label = span("rows", first, last)
    return Segment(f"{anchor}&{rows}", f"sheet {title}, {label}", text)


def anchor_value(title: str) -> str:
    """Return a title as the value of an anchor: white space and what ends an anchor are percent-encoded."""
    return re.sub(r"[\s\"'`“”<>()\[\]{},;#&%|]", lambda each: quote(each[0], safe=""), title)


def _rows(sheet: Any, budget: tables.CellBudget) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # a sheet may claim a million rows of 16,384 columns
    for number, row in enumerate(sheet.iter_rows(), 1):
        if not row:
            budget.spend(0, 0)
            continue
        cells = [_text(each) for each in row]
        while cells and not cells[-1]:
            cells.pop()
        budget.spend(sum(map(bool, cells)), len(row))
        if cells:
            yield number, cells


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return tables.cell_text(value)
    if isinstance(value, bool):
        return str(value).upper()
    return _number(value, cell.number_format) if isinstance(value, int | float) else _moment(value)


def _number(value: Any, number_format: str) -> str:
    """Return a number with all its digits, and percentages as they are shown."""
    if "%" in (number_format or ""):
        return f"{value * 100:.10g}%"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _moment(value: Any) -> str:
    """Return a date or time in ISO 8601; a time of midnight is left out."""
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ", timespec="seconds")
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else tables.cell_text(str(value))


def _formulas_without_value(archive: Archive) -> list[str]:
    number = 0
    for name in filter(_SHEET.match, archive.names):
        rest = b""
        for chunk in archive.chunks(name):
            text = rest + chunk
            found = list(_NO_VALUE.finditer(text))
            number += len(found)
            rest = text[max(found[-1].end() if found else 0, len(text) - _CARRY_BYTES) :]
    if not number:
        return []
    return [
        f"{number} formulas have no stored value and are read as empty. Save the file in a spreadsheet program once."
    ]
