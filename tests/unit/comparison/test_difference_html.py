"""A difference as HTML: everything escaped, readable by people and by readers of screens."""

from __future__ import annotations

from gettext import NullTranslations
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given

from documents.comparison.diff import compare
from documents.comparison.html import render_html
from documents.comparison.values import ABSENT
from tests.unit.comparison.json_values import JSON_VALUES

HOSTILE = "<script>alert(1)</script>\" onload='x' & \x00\ud800</ins></p>"
TAGS = {"div", "section", "h3", "p", "ins", "del", "span", "code", "dl", "dt", "dd", "ol", "li"}
DELETED, INSERTED = '<del class="diff-deleted">', '<ins class="diff-inserted">'
END = '<span class="visually-hidden">]</span>'


class Outline(HTMLParser):
    """Checks that tags are closed in order, and keeps names, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(before: Any, after: Any, **schemas: Any) -> str:
    return render_html(compare(before, after, **schemas))


def test_words_are_marked_for_eyes_and_for_readers_of_screens() -> None:
    source = rendered(
        {"goal": "Count people"}, {"goal": "Count all"}, schema={"properties": {"goal": {"title": "Goal"}}}
    )
    assert source == (
        '<div class="diff"><p class="diff-summary">1 change: 1 changed.</p>'
        '<section class="diff-change diff-changed"><h3 class="diff-place" dir="auto">Goal</h3>'
        '<p class="diff-what">Changed</p><p class="diff-text" dir="auto">Count '
        f'{DELETED}<span class="visually-hidden">[deleted: </span>people{END}</del>'
        f'{INSERTED}<span class="visually-hidden">[inserted: </span>all{END}</ins></p></section></div>'
    )


class Marking(NullTranslations):
    """Puts marks around every text that it is asked for."""

    def gettext(self, message: str) -> str:
        return f"<{message}>"

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return f"<{singular if number == 1 else plural}>"

    def pgettext(self, context: str, message: str) -> str:
        return "." if message == "," else f"<{message}>"


def test_words_around_the_texts_are_in_the_language_of_the_reader() -> None:
    long = "same " * 600
    before: Any = {"goal": "Count people", "items": [{"id": "a"}, {"id": "b"}], "text": f"one {long}two"}
    after: Any = {"goal": "Count all", "items": [{"id": "b"}, {"id": "a"}], "text": f"ones {long}twos"}
    text = Outline(render_html(compare(before, after), speech=Marking())).text
    assert text.startswith("<3 changes: 2 <changed>, 1 <moved>.>")
    assert "<changed>Count [<deleted:> people]" in text
    assert "<Moved from 2 to 1>" in text
    assert "<[… 2.401 unchanged characters …]>" in text
    assert "<The two versions are the same.>" in Outline(render_html(compare(1, 1), speech=Marking())).text
    assert "<The whole document>" in Outline(render_html(compare(1, 2), speech=Marking())).text


def test_moves_are_sentences_that_count_from_one() -> None:
    items = [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}, {"id": "c", "title": "C"}]
    source = rendered({"epics": items}, {"epics": [items[2], *items[:2]]})
    assert "Epics \u203a C</h3>" in source
    assert "Moved from 3 to 1<" in source
    assert "1 change: 1 moved." in source


def test_values_are_shown_with_the_labels_of_their_fields() -> None:
    schema = {"properties": {"risk": {"properties": {"cost_usd": {"title": "Cost"}, "open_points": {}}}}}
    source = rendered({}, {"risk": {"open_points": ["a", None], "cost_usd": 5}}, schema=schema)
    text = Outline(source).text
    assert text.startswith("1 change: 1 added.RiskAdded[inserted: Cost5Open pointsanull]")
    assert source.index("Cost") < source.index("Open points")


def test_no_difference_is_a_sentence() -> None:
    assert rendered([1], [1.0]) == '<div class="diff"><p class="diff-summary">The two versions are the same.</p></div>'
    assert "The whole document" in rendered(ABSENT, [1])


def test_the_level_of_headings_is_the_page_s() -> None:
    assert '<h2 class="diff-place" dir="auto">A</h2>' in render_html(compare({"a": 1}, {"a": 2}), heading_level=2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({HOSTILE: 1}, {HOSTILE: 2}),
        ({"a": HOSTILE}, {"a": f"{HOSTILE} more"}),
        ([], [{"title": HOSTILE, "x": [HOSTILE]}]),
        ([{"id": 2, "name": HOSTILE}, {"id": 1}, {"id": 3}], [{"id": 1}, {"id": 3}, {"id": 2, "name": HOSTILE}]),
        ([HOSTILE], [[[{HOSTILE: HOSTILE}]]]),
    ],
)
def test_everything_is_escaped(before: Any, after: Any) -> None:
    source = rendered(before, after, schema={"properties": {"a": {"title": HOSTILE}}})
    outline = Outline(source)
    assert outline.tags <= TAGS
    assert outline.attributes <= {"class", "dir"}
    assert "<script" not in source
    assert "alert(1)" in outline.text
    source.encode()
    assert "\x00" not in source


@given(JSON_VALUES, JSON_VALUES)
def test_the_html_of_any_difference_is_well_formed(before: Any, after: Any) -> None:
    outline = Outline(rendered(before, after))
    assert outline.tags <= TAGS
    assert outline.attributes <= {"class", "dir"}


def test_unchanged_text_far_from_a_change_is_left_out() -> None:
    text = "word " * 2_000
    source = rendered(f"{text}old {text}", f"{text}new {text}")
    assert "unchanged characters" in source
    assert len(source) < 3_000
    source = rendered(f"a {text}b", f"x {text}y")
    assert source.count("unchanged characters") == 1
    assert source.count("word") < 300


def test_long_and_deep_values_are_cut() -> None:
    source = rendered([], [*range(1_000), [1_000, list(range(300))]])
    assert source.count("<li>") < 1_300
    deep: Any = 1
    for _ in range(90):
        deep = [deep]
    source = rendered({}, {"a": deep, "b": {f"k{n}": n for n in range(500)}})
    assert source.count("[… 300 more …]") == 1
    assert source.count('class="diff-items"') == 5
    assert f"<code>{'[' * 85}1{']' * 85}</code>" in source
