"""Workbooks and CSV files as tables with numbers of rows and letters of columns."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment

from documents.extraction.csv_file import find_delimiter
from documents.extraction.results import RefusalCode
from documents.extraction.tables import column_name
from tests.factories.files.workbooks import raw_xlsx, xlsx
from tests.integration.documents.extraction.reading import read, refusal, texts


def test_a_sheet_is_a_table_of_what_its_cells_show() -> None:
    rows: list[list[Any]] = [
        ["Item", "Price", "Day", "Sold"],
        ["Tea\nand more", 2.5, datetime.date(2026, 3, 1), True],
        [],
        [None, 0.1, datetime.datetime(2026, 3, 1, 12, 30), datetime.time(8, 5)],  # noqa: DTZ001
        ["Umläut", 3, 1e21, "'=2"],
    ]
    extraction = read(xlsx({"Costs": rows}), "a.xlsx")
    [segment] = extraction.segments
    assert (segment.anchor, segment.label) == ("sheet=Costs", "sheet Costs")
    assert segment.text.split("\n") == [
        "row\tA\tB\tC\tD",
        "1\tItem\tPrice\tDay\tSold",
        "2\tTea and more\t2.5\t2026-03-01\tTRUE",
        "4\t\t0.1\t2026-03-01 12:30:00\t08:05:00",
        "5\tUmläut\t3\t1e+21\t'=2",
    ]


def test_percentages_are_shown_as_such() -> None:
    def change(workbook: Workbook) -> None:
        workbook["S"]["A1"].number_format = "0%"

    assert texts(read(xlsx({"S": [[0.19]]}, change))) == ["row\tA\n1\t19%"]


def test_hidden_and_empty_sheets_are_told() -> None:
    def change(workbook: Workbook) -> None:
        workbook["Secret plan"].sheet_state = "hidden"
        workbook.properties.title = "The budget"

    extraction = read(xlsx({"Main": [["a"]], "Secret plan": [["b"]], "Empty": []}, change))
    assert [each.anchor for each in extraction.segments] == ["sheet=Main", "sheet=Secret%20plan"]
    assert extraction.title == "The budget"
    assert extraction.notes == (
        "The sheet “Secret plan” is hidden; its text is read.",
        "The sheet “Empty” is empty.",
    )


def test_formulas_without_a_stored_value_are_told() -> None:
    extraction = read(xlsx({"S": [[1, "=A1+1", "=A1+2"]]}))
    assert texts(extraction) == ["row\tA\n1\t1"]
    assert extraction.notes[0].startswith("2 formulas have no stored value")


def test_stored_values_of_formulas_are_read() -> None:
    extraction = read(raw_xlsx('<sheetData><row r="1"><c r="A1"><f>1+1</f><v>2</v></c></row></sheetData>'))
    assert (texts(extraction), extraction.notes) == (["row\tA\n1\t2"], ())


def test_comments_on_cells_are_told() -> None:
    def change(workbook: Workbook) -> None:
        workbook["S"]["A1"].comment = Comment("really?", "Ada")

    assert read(xlsx({"S": [[1]]}, change)).notes == ("Comments on cells are not read.",)


def test_long_sheets_are_several_segments() -> None:
    extraction = read(xlsx({"S": [[number] for number in range(450)]}))
    assert [each.anchor for each in extraction.segments] == [
        "sheet=S&rows=1-200",
        "sheet=S&rows=201-400",
        "sheet=S&rows=401-450",
    ]


def test_more_cells_than_the_limit_are_refused() -> None:
    data = xlsx({"A": [[1, 2]], "B": [[1, 2]]})
    assert refusal(data, cells=3) == (RefusalCode.TOO_MANY_CELLS, "has more than 3 cells")
    assert len(read(data, cells=4).segments) == 2
    assert refusal(b"1,2\n3,4\n", "a.csv", cells=3)[0] is RefusalCode.TOO_MANY_CELLS


def test_a_claimed_size_of_a_sheet_counts_for_nothing() -> None:
    sheet = '<dimension ref="A1:XFD1048576"/><sheetData><row r="2"><c r="B2"><v>7</v></c></row></sheetData>'
    assert texts(read(raw_xlsx(sheet))) == ["row\tA\tB\n2\t\t7"]
    rows = "".join(f'<row r="{number}"><c r="A{number}"><v>7</v></c></row>' for number in range(1, 51))
    claimed = f'<dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData>'
    assert len(texts(read(raw_xlsx(claimed), cells=100))[0].split("\n")) == 51


def test_cells_far_apart_are_read_or_refused_in_bounded_time() -> None:
    far = '<sheetData><row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>'
    assert texts(read(raw_xlsx(far)))[0].endswith("\t7")
    rows = "".join(f'<row r="{number}"><c r="XFD{number}"><v>7</v></c></row>' for number in range(1, 3000))
    assert refusal(raw_xlsx(f"<sheetData>{rows}</sheetData>"), cells=10_000) == (
        RefusalCode.TOO_MANY_CELLS,
        "spans too many empty cells",
    )


@pytest.mark.parametrize(
    "sheet", ["<sheetData><row r='x'/></sheetData>", '<sheetData><row><c r="1A"/></row></sheetData>', "<"]
)
def test_broken_sheets_are_damage(sheet: str) -> None:
    assert refusal(raw_xlsx(sheet))[0] is RefusalCode.DAMAGED


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ('"a;b",c\n"d;e",f\n', ","),
        ("one column\n", ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_found(content: str, delimiter: str) -> None:
    assert find_delimiter(content) == delimiter


def test_rows_of_csv_keep_their_numbers_and_cells_stay_text() -> None:
    extraction = read('Größe;Preis\n\n"a\nb";007\n'.encode("cp1252"), "a.csv")
    [segment] = extraction.segments
    assert segment.anchor == "rows=1-3"
    assert segment.text.split("\n") == ["row\tA\tB", "1\tGröße\tPreis", "3\ta b\t007"]
    assert extraction.media_type == "text/csv"


def test_a_quotation_mark_that_is_never_closed_does_no_harm() -> None:
    assert texts(read(b'a,b\n"c,d\n' * 3, "a.csv"))[0].startswith("row\tA\tB")


def test_names_of_columns() -> None:
    assert [column_name(each) for each in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
