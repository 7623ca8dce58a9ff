"""Passages: they are found again in later versions, and all other places may not change."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.comparison.diff import compare
from documents.comparison.passages import Anchor, Found, PassageFinder, anchor_of, locate, unchanged_elsewhere
from documents.comparison.values import is_equal, parts_of, resolve
from tests.factories.differences import pair
from tests.unit.comparison.json_values import JSON_VALUES

TEXT = "The city lends tools. The board decides in May. Each tool costs 5 EUR a week. The board decides in June."
DOCUMENT: dict[str, Any] = {
    "summary": TEXT,
    "epics": [
        {"id": "a", "title": "Counter", "goal": "Count everyone who comes in, and TBD the rest."},
        {"id": "b", "title": "Loans", "goal": "Lend every tool for a week, and TBD the rest."},
    ],
}


def found(anchor: Anchor | None, after: Any, before: Any = DOCUMENT) -> tuple[str, str, str] | None:
    """Return where a passage is, how it was found, and how it reads."""
    assert anchor is not None
    location = locate(anchor, before, after)
    if location is None:
        return None
    if anchor.quote:
        text = resolve(after, parts_of(location.pointer))
        assert isinstance(text, str)
        assert text[location.start : location.end] == location.quote
    return location.pointer, location.found.value, location.quote


def changed(**values: Any) -> dict[str, Any]:
    return {**DOCUMENT, **values}


def test_an_anchor_keeps_its_surroundings() -> None:
    assert anchor_of(DOCUMENT, "/summary", "decides", near=80) == Anchor(
        "/summary", "decides", "Each tool costs 5 EUR a week. The board ", " in June.", 88
    )
    assert anchor_of(DOCUMENT, "/epics/1") == Anchor("/epics/1")
    assert anchor_of(DOCUMENT, "/epics/2") is None
    assert anchor_of(DOCUMENT, "/epics", "Counter") is None
    assert anchor_of(DOCUMENT, "/summary", "not there") is None


def test_a_quote_is_found_in_its_text_where_its_surroundings_are() -> None:
    first, second = [anchor_of(DOCUMENT, "/summary", "The board", near=near) for near in (0, 80)]
    after = changed(summary=f"New. The board is new. {TEXT}")
    assert found(first, after) == ("/summary", "same", "The board")
    shift = len("New. The board is new. ")
    starts = [locate(each, DOCUMENT, after).start for each in (first, second)]  # type: ignore[arg-type, union-attr]
    assert starts == [TEXT.index("The board") + shift, TEXT.rindex("The board") + shift]


def test_the_most_similar_surroundings_count() -> None:
    anchor = Anchor("/summary", "The board", "Each tool costs 9 EUR a week. ", " decides in April")
    assert locate(anchor, DOCUMENT, changed(summary=TEXT + " ")).start == TEXT.rindex("The board")  # type: ignore[union-attr]
    far = f"The board meets. {'x' * 50} costs 5 EUR a week. The board decides in July."
    location = locate(anchor, DOCUMENT, changed(summary=far))
    assert location is not None
    assert location.start == far.rindex("The board")


def test_of_equal_surroundings_the_nearest_counts() -> None:
    before: Any = {"a": "tbd " * 50}
    anchor = anchor_of(before, "/a", "tbd", near=81)
    assert locate(anchor, before, {"a": "tbd " * 51}).start == 80  # type: ignore[arg-type, union-attr]


def test_without_surroundings_the_version_of_the_quote_gives_them() -> None:
    after = changed(summary=f"The board. {TEXT}")
    assert locate(Anchor("/summary", "The board"), DOCUMENT, after).start == 11 + TEXT.index("The board")  # type: ignore[union-attr]


def test_a_quote_follows_its_item() -> None:
    first, second = DOCUMENT["epics"]
    other = {"id": "c", "title": "New", "goal": "Open, and TBD the rest."}
    anchor = anchor_of(DOCUMENT, "/epics/0/goal", "TBD")
    assert found(anchor, changed(epics=[other, second, first])) == ("/epics/2/goal", "moved", "TBD")
    assert found(anchor, changed(epics=[other, second])) == ("/epics/0/goal", "same", "TBD")
    whole = Anchor("/epics/0")
    assert found(whole, changed(epics=[other, second, first])) == ("/epics/2", "moved", "")
    assert found(whole, changed(epics=[second])) is None
    assert found(Anchor("/epics/0/title"), changed(epics=[other, first])) == ("/epics/1/title", "moved", "")
    assert found(Anchor("/epics/0/goal"), changed(epics=[{"id": "a", "title": "Counter"}, second])) is None


def test_a_unique_long_quote_is_found_in_another_text() -> None:
    anchor = anchor_of(DOCUMENT, "/summary", "Each tool costs 5 EUR a week.")
    after = {"summary": "Short.", "costs": {"text": f"So: {anchor.quote}"}}  # type: ignore[union-attr]
    assert found(anchor, after) == ("/costs/text", "elsewhere", "Each tool costs 5 EUR a week.")
    twice = {"summary": "Short.", "a": anchor.quote, "b": anchor.quote}  # type: ignore[union-attr]
    assert found(anchor, twice) is None
    assert found(anchor, {"a": f"{anchor.quote} {anchor.quote}"}) is None  # type: ignore[union-attr]
    short = anchor_of(DOCUMENT, "/summary", "5 EUR a wee")
    assert found(short, {"summary": "Short.", "a": "For 5 EUR a wee"}) is None


def test_an_edited_passage_is_found() -> None:
    anchor = anchor_of(DOCUMENT, "/summary", "Each tool costs 5 EUR a week.")
    after = changed(summary=TEXT.replace("costs 5 EUR a week", "costs 6 EUR each week"))
    assert found(anchor, after) == ("/summary", "edited", "Each tool costs 6 EUR each week.")
    after = changed(summary=TEXT.replace("Each tool costs 5", "Every tool costs 6"))
    assert found(anchor, after) == ("/summary", "edited", "Every tool costs 6 EUR a week.")
    after = changed(summary=TEXT.replace("Each tool", f"{'Much is new here. ' * 9}Every tool"))
    assert found(anchor, after) == ("/summary", "edited", "tool costs 5 EUR a week.")
    after = {"costs": "It is easy: Each tool costs 7 EUR a week. Fine.", "other": "Nothing alike"}
    assert found(anchor, after) == ("/costs", "edited", "Each tool costs 7 EUR a week.")


def test_a_passage_that_is_gone_is_lost() -> None:
    anchor = anchor_of(DOCUMENT, "/summary", "Each tool costs 5 EUR a week.")
    assert found(anchor, changed(summary=TEXT.replace(" Each tool costs 5 EUR a week.", ""))) is None
    assert found(anchor, changed(summary=TEXT.replace("Each tool costs 5 EUR a week.", "Nothing is said now."))) is None
    assert found(anchor, {}) is None
    assert found(anchor, "text") is None


def test_passages_in_scripts_without_spaces() -> None:
    before: Any = {"a": "城市出借工具。每件工具每周五欧元。董事会在五月决定。"}
    anchor = anchor_of(before, "/a", "每件工具每周五欧元")
    assert found(anchor, {"a": "城市出借工具。每件工具每周六欧元。董事会在五月决定。"}, before) == (
        "/a",
        "edited",
        "每件工具每周六欧元",
    )


def test_a_finder_finds_many_passages_of_large_versions_in_a_bounded_time() -> None:
    before, after = pair("usual")
    text = before["sections"][10]["text"]
    started = time.process_time()
    finder = PassageFinder(before, after)
    for start in range(0, 1_000, 20):
        anchor = anchor_of(before, "/sections/10/text", text[start : start + 60])
        location = finder.locate(anchor) if anchor else None
        assert location is not None
        assert location.pointer == "/sections/11/text"
    assert time.process_time() - started < 1


def test_hostile_quotes_take_a_bounded_time() -> None:
    before: Any = {"a": "a" * 200_000}
    after: Any = {"a": "a" * 199_000 + "b" * 1_000}
    started = time.process_time()
    for quote in ("a", "a" * 1_000, "a" * 100_000, "a" * 100_000 + "c"):
        anchor = Anchor("/a", quote, "a" * 40, "a" * 40)
        assert locate(anchor, before, after) == locate(anchor, before, after)
    assert time.process_time() - started < 2


@given(JSON_VALUES, JSON_VALUES, st.data())
def test_a_location_is_a_passage_of_the_later_version(before: Any, after: Any, data: st.DataObject) -> None:
    places = [""] + [each.pointer_before for each in compare(before, after).changes if each.pointer_before is not None]
    place = data.draw(st.sampled_from(places))
    value = resolve(before, parts_of(place))
    quote = data.draw(st.sampled_from(["", value[:3], value[1:]])) if isinstance(value, str) else ""
    anchor = anchor_of(before, place, quote)
    location = found(anchor, after, before)
    if is_equal(before, after):
        assert location == (place, Found.SAME.value, quote)


# --- what may not change ----------------------------------------------------------------------------------------------


def outside(after: Any, *passages: Anchor, before: Any = DOCUMENT) -> list[str]:
    return unchanged_elsewhere(before, after, passages)


def test_a_value_that_is_a_passage_may_change_and_nothing_else() -> None:
    epics = DOCUMENT["epics"]
    after = changed(summary="New", epics=[{**epics[0], "goal": "New"}, epics[1]])
    assert outside(DOCUMENT) == []
    assert outside(after) == ["/epics/0/goal", "/summary"]
    assert outside(after, Anchor("/summary")) == ["/epics/0/goal"]
    assert outside(after, Anchor("/summary"), Anchor("/epics/0")) == []
    assert outside(after, Anchor("")) == []
    assert outside({**after, "more": 1}, Anchor("/summary"), Anchor("/epics/0/goal")) == ["/more"]
    assert outside({"epics": epics}) == ["/summary"]
    assert outside({"epics": epics}, Anchor("/summary")) == []
    assert outside([], Anchor("/summary")) == [""]


def test_only_the_quote_may_change_in_a_text() -> None:
    price = Anchor("/summary", "costs 5 EUR a week")
    after = changed(summary=TEXT.replace("costs 5 EUR a week", "is free"))
    assert outside(after) == ["/summary"]
    assert outside(after, price) == []
    assert outside(changed(summary=after["summary"].replace("May", "July")), price) == ["/summary"]
    assert outside(changed(summary=after["summary"] + " "), price) == ["/summary"]
    assert outside(after, Anchor("/summary", "not there")) == ["/summary"]
    assert outside(changed(summary=5), price) == ["/summary"]
    assert outside(changed(summary=TEXT.replace(price.quote, "")), price) == []


def test_the_surroundings_tell_which_quote_may_change() -> None:
    first, second = [anchor_of(DOCUMENT, "/summary", "The board", near=near) for near in (0, 80)]
    assert first is not None
    assert second is not None
    after = changed(summary=TEXT.replace("The board decides in May", "She decides in May"))
    assert outside(after, first) == []
    assert outside(after, second) == ["/summary"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_quote_without_surroundings_is_meant_wherever_its_text_has_it(times: int) -> None:
    before = {"t": "The counter is red. It stands by the door. The counter is red."}
    passage = Anchor("/t", "The counter is red")
    for after in (
        before["t"].replace("counter is red", "counter is blue", times),
        "It is blue".join(before["t"].rsplit("The counter is red", times)),
    ):
        assert outside({"t": after}, passage, before=before) == []
    assert outside({"t": before["t"].replace("door", "window")}, passage, before=before) == ["/t"]


def test_several_quotes_may_change_also_where_they_overlap() -> None:
    passages = [Anchor("/summary", quote) for quote in ("lends tools", "tools. The board", "June")]
    assert outside(changed(summary=TEXT.replace("lends tools. The board", "X", 1).replace("June", "")), *passages) == []
    assert outside(changed(summary=TEXT.replace("decides", "X")), *passages) == ["/summary"]
    assert outside(changed(summary=TEXT[:4]), *passages) == ["/summary"]


@pytest.mark.parametrize(
    ("after", "passages", "expected"),
    [
        ([1, 2, 3], ["/0"], []),
        ([9, 2, 3], ["/0"], []),
        ([2, 3], ["/0"], []),
        ([1, 2], ["/2"], []),
        ([1, 9], ["/1", "/2"], []),
        ([3], ["/0", "/1"], []),
        ([], ["/0", "/1", "/2"], []),
        ([9, 3], ["/0", "/1"], []),
        ([9, 2], ["/0", "/1"], ["/1"]),
        ([2, 4], ["/0"], ["/1"]),
        ([1, 3], ["/0"], ["/0"]),
        ([3, 2, 1], ["/0"], ["/2"]),
        ([1, 2, 3, 4], ["/0"], [""]),
        ([1], ["/0"], [""]),
        ([1.0, 2, 3], [], []),
        ([True, 2, 3], [], ["/0"]),
    ],
)
def test_items_stay_in_order_around_passages(after: Any, passages: list[str], expected: list[str]) -> None:
    assert outside(after, *map(Anchor, passages), before=[1, 2, 3]) == expected


@given(JSON_VALUES, JSON_VALUES)
def test_without_passages_everything_has_to_be_equal(before: Any, after: Any) -> None:
    assert (outside(after, before=before) == []) is is_equal(before, after)
    assert outside(after, Anchor(""), before=before) == []
