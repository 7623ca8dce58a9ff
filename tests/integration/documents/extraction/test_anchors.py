"""Citations are found in texts, and checked against what files have."""

from __future__ import annotations

import time

import pytest

from documents.extraction.anchors import Citation, check_citation, find_citations

FILES = {
    "brief.pdf": ["page=1", "page=2", "page=3", "page=4"],
    "annual report.pdf": ["page=1"],
    "costs.xlsx": ["sheet=Costs", "sheet=Q1%20plan&rows=1-200", "sheet=Q1%20plan&rows=201-350"],
    "plan.docx": ["paragraphs=1-3", "heading=costs", "heading=öl-und-gas"],
    "notes.txt": ["lines=1-40", "lines=41-80"],
    "photo.png": [],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See brief.pdf#page=7.", ["brief.pdf#page=7"]),
        ("(brief.pdf#page=7), brief.pdf#page=8; [x](brief.pdf#page=9)", [f"brief.pdf#page={n}" for n in (7, 8, 9)]),
        ('as "annual report.pdf#page=7" says', ["annual report.pdf#page=7"]),
        ("as “annual report.pdf#page=7” says", ["annual report.pdf#page=7"]),
        (
            "in `costs.xlsx#sheet=Q1 plan` and costs.xlsx#sheet=Costs&rows=3-9!",
            ["costs.xlsx#sheet=Q1 plan", "costs.xlsx#sheet=Costs&rows=3-9"],
        ),
        ("twice brief.pdf#page=1 brief.pdf#page=1", ["brief.pdf#page=1"]),
        ("annual%20report.pdf#page=1", ["annual%20report.pdf#page=1"]),
        ("nothing#page=1 or https://x.org/a#top or #page=3", []),
        ("files/brief.pdf#page=2", ["brief.pdf#page=2"]),
        ('He said: "see brief.pdf#page=7"', ["see brief.pdf#page=7"]),  # without the names it cannot be known
    ],
)
def test_citations_are_found(text: str, found: list[str]) -> None:
    assert [str(each) for each in find_citations(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see annual report.pdf#page=1 there", ["annual report.pdf#page=1"]),
        ('He said: "see brief.pdf#page=7"', ["brief.pdf#page=7"]),
        ("my-brief.pdf#page=7", ["my-brief.pdf#page=7"]),
        ("BRIEF.PDF#page=2", ["brief.pdf#page=2"]),
        ("Annual%20report.pdf#page=1", ["annual report.pdf#page=1"]),
        ('"costs.xlsx#sheet=Q1 plan"', ["costs.xlsx#sheet=Q1 plan"]),
    ],
)
def test_known_names_are_found_without_quotation_marks(text: str, found: list[str]) -> None:
    assert [str(each) for each in find_citations(text, FILES)] == found


@pytest.mark.parametrize(
    "citation",
    [
        "brief.pdf#page=4",
        "Brief.PDF#page=1",
        "annual%20report.pdf#page=1",
        "costs.xlsx#sheet=Costs",
        "costs.xlsx#sheet=costs&rows=3",
        "costs.xlsx#sheet=Q1 plan",
        "costs.xlsx#sheet=Q1%20plan&rows=190-210",
        "plan.docx#heading=costs",
        "plan.docx#heading=O\u0308l-und-gas",
        "plan.docx#paragraph=2",
        "notes.txt#lines=30-50",
        "notes.txt#line=80",
    ],
)
def test_places_that_exist(citation: str) -> None:
    name, _, anchor = citation.partition("#")
    assert check_citation(Citation(name, anchor), FILES) is None


@pytest.mark.parametrize(
    ("citation", "says"),
    [
        ("brief.pdf#page=7", "brief.pdf has 4 pages; page 7 does not exist."),
        ("annual report.pdf#page=2", "annual report.pdf has 1 page; page 2 does not exist."),
        ("brief.pdf#page=0", "brief.pdf has 4 pages; page 0 does not exist."),
        ("brief.pdf#sheet=A", "brief.pdf has no sheets; a place in it is written brief.pdf#page=1."),
        ("costs.xlsx#sheet=Other", "costs.xlsx has no sheet “Other”; there are Costs, Q1 plan."),
        (
            "costs.xlsx#sheet=Q1 plan&rows=351",
            "costs.xlsx on the sheet “Q1 plan” has 350 rows; row 351 does not exist.",
        ),
        ("notes.txt#line=81", "notes.txt has 80 lines; line 81 does not exist."),
        ("notes.txt#lines=9-3", "notes.txt has 80 lines; line 9-3 does not exist."),
        ("photo.png#page=1", "photo.png has no places that can be cited."),
        (
            "other.pdf#page=1",
            "No file is named other.pdf. The files are brief.pdf, annual report.pdf, costs.xlsx, plan.docx, "
            "notes.txt, photo.png.",
        ),
    ],
)
def test_places_that_do_not_exist(citation: str, says: str) -> None:
    name, _, anchor = citation.partition("#")
    assert check_citation(Citation(name, anchor), FILES) == says


def test_without_files_no_citation_is_right() -> None:
    assert check_citation(Citation("a.pdf", "page=1"), {}) == "No file is named a.pdf. There are no files."


def test_long_texts_without_spaces_take_little_time() -> None:
    began = time.process_time()
    find_citations("a" * 500_000 + "#page=1" * 20_000, FILES)
    assert time.process_time() - began < 5
