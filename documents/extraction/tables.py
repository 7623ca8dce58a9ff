"""Rows of cells as text: a line for each row, its number first, cells between tabs, letters above the columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import FileRefused, RefusalCode
from documents.extraction.text import clean

ROWS_OF_A_SEGMENT = 200
MAX_COLUMNS = 16_384
_WHITE_SPACE = re.compile(r"[\t\n]+")


class CellBudget:
    """Counts the cells with content of a file, and all that a reader passes."""

    #: Cells without content that a reader may pass, for each one with content that is allowed.
    _PASSED = 100

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limit = self._left = limits.cells
        self._left_to_pass = limits.cells * self._PASSED

    def spend(self, filled: int, passed: int) -> None:
        """Count the cells of a row.

        Raises:
            FileRefused: the file has more cells than its limit.
        """
        self._left -= filled
        self._left_to_pass -= passed + 1
        if self._left < 0:
            raise FileRefused(RefusalCode.TOO_MANY_CELLS, f"has more than {self._limit:,} cells")
        if self._left_to_pass < 0:
            raise FileRefused(RefusalCode.TOO_MANY_CELLS, "spans too many empty cells")


def column_name(index: int) -> str:
    """Return the letters of a column: A for 0, AA for 26."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def cell_text(text: str) -> str:
    """Return the text of a cell without what separates cells and rows."""
    return _WHITE_SPACE.sub(" ", clean(text)).strip()


def blocks(rows: Iterable[tuple[int, list[str]]], budget: CharacterBudget) -> Iterator[tuple[int, int, str]]:
    """Yield the first row, the last row and the text of each group of rows.

    Args:
        rows: numbers and cells of the rows that have content.
        budget: counts the characters.
    """
    group: list[tuple[int, list[str]]] = []
    for row in rows:
        budget.spend("\t".join(row[1]))
        group.append(row)
        if len(group) == ROWS_OF_A_SEGMENT:
            yield _block(group)
            group = []
    if group:
        yield _block(group)


def _block(group: list[tuple[int, list[str]]]) -> tuple[int, int, str]:
    width = max(len(cells) for _, cells in group)
    lines = ["\t".join(["row", *map(column_name, range(width))])]
    lines += ["\t".join([str(number), *cells]) for number, cells in group]
    return group[0][0], group[-1][0], "\n".join(lines)
