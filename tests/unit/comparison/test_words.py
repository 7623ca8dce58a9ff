"""The difference of texts by words, in any script, and in bounded time."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import accumulate, pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from documents.comparison.alignment import Budget, align, longest_increasing
from documents.comparison.diff import compare
from documents.comparison.words import compare_texts, tokens
from tests.factories.differences import PAIRS, pair

#: Those that took longest while this was written; `make test-all` has all.
SLOWEST = {"usual", "each 2nd word differs", "emoji", "many deep lists"}
#: CPU seconds of one comparison. The goal is 0.2; the machine of the tests may be slower.
SECONDS = 0.6
_MARKS = "\u0301\u0308\u200d\ufe0f\U0001f3fd\u0e31\u0e33\u093e\u094d\u0600\r\n\u2028\u00ad\u11a8\U0001f1e6\ud800"
_OTHERS = "ab'\u2019 \t\u00a0.é1中文あทยकष\u0d4e\u1100\uac00\U0001f469\u2603©αж_-"
TEXTS = st.text(st.sampled_from(_MARKS + _OTHERS) | st.integers(0, 0x10FFFF).map(chr), max_size=12)


def runs(before: str, after: str) -> list[str]:
    """Return the runs, each with a sign."""
    signs = {"equal": "=", "insert": "+", "delete": "-"}
    return [signs[run.op] + run.text for run in compare_texts(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", []),
        ("same", "same", ["=same"]),
        ("", "new", ["+new"]),
        ("old", "", ["-old"]),
        ("a fine day", "a fine, day", ["=a fine", "+,", "= day"]),
        ("The budget is 20,000 EUR.", "The budget is 25,000 EUR.", ["=The budget is ", "-20", "+25", "=,000 EUR."]),
        ("It doesn't work", "It does work", ["=It ", "-doesn't", "+does", "= work"]),
        ("Größe: 5 m", "Größe: 6 m", ["=Größe: ", "-5", "+6", "= m"]),
        ("我喜欢红茶和咖啡", "我喜欢绿茶和咖啡", ["=我喜欢", "-红", "+绿", "=茶和咖啡"]),
        ("ฉันดื่มชา", "ฉันดื่มน้ำ", ["=ฉันดื่ม", "-ชา", "+น้ำ"]),
        ("मैं चाय पीता हूँ", "मैं कॉफ़ी पीता हूँ", ["=मैं ", "-चाय", "+कॉफ़ी", "= पीता हूँ"]),
        ("أحب الشاي كثيرا", "أحب القهوة كثيرا", ["=أحب ", "-الشاي", "+القهوة", "= كثيرا"]),
        ("caf\u0065\u0301 noir", "cafe noir", ["-cafe\u0301", "+cafe", "= noir"]),
        (
            "ok \U0001f44d\U0001f3fb!",
            "ok \U0001f44d\U0001f3fd!",
            ["=ok ", "-\U0001f44d\U0001f3fb", "+\U0001f44d\U0001f3fd", "=!"],
        ),
        ("a  b", "a b", ["=a", "-  ", "+ ", "=b"]),
        ("one\ntwo\nthree", "one\nthree", ["=one\n", "-two\n", "=three"]),
        ("a\r\nb", "a\nb", ["=a", "-\r\n", "+\n", "=b"]),
    ],
)
def test_words(before: str, after: str, expected: list[str]) -> None:
    assert runs(before, after) == expected


def test_words_between_longer_changes_are_no_crumbs() -> None:
    before, after = "an apple in the garden", "some berries in a forest"
    assert runs(before, after) == [f"-{before}", f"+{after}"]
    assert runs("a b c: which of these?", "a x c: which of those?") == [
        "=a ",
        "-b",
        "+x",
        "= c: which of ",
        "-these",
        "+those",
        "=?",
    ]


def test_paragraphs_stay_apart() -> None:
    assert runs("first one\n\nsecond one", "other text\n\nfurther text") == [
        "-first one",
        "+other text",
        "=\n\n",
        "-second one",
        "+further text",
    ]


@given(TEXTS)
def test_tokens_cut_no_grapheme_cluster(text: str) -> None:
    found = tokens(text)
    assert "".join(found) == text
    assert all(found)
    clusters = {0, *accumulate(map(len, regex.findall(r"\X", text)))}
    assert set(accumulate(map(len, found))) <= clusters


@given(TEXTS, TEXTS, st.sampled_from([0, 10, 1_000]))
def test_runs_make_both_texts_whatever_the_budget(before: str, after: str, steps: int) -> None:
    found = compare_texts(before, after, Budget(steps))
    assert "".join(run.text for run in found if run.op != "insert") == before
    assert "".join(run.text for run in found if run.op != "delete") == after
    assert all(run.text for run in found)
    assert not any(one.op == other.op for one, other in pairwise(found))


def _longest_common(before: list[int], after: list[int]) -> int:
    best = [0] * (len(after) + 1)
    for one in before:
        row = [0]
        for index, other in enumerate(after):
            row.append(best[index] + 1 if one == other else max(row[-1], best[index + 1]))
        best = row
    return best[-1]


_NUMBERS = st.lists(st.integers(0, 6), max_size=30)


@given(_NUMBERS, _NUMBERS)
def test_an_alignment_of_short_sequences_is_a_longest_one(before: list[int], after: list[int]) -> None:
    partners = align(before, after, Budget())
    pairs = [(i, j) for i, j in enumerate(partners) if j >= 0]
    assert all(before[i] == after[j] for i, j in pairs)
    assert [j for _, j in pairs] == sorted({j for _, j in pairs})
    assert len(pairs) == _longest_common(before, after)


@given(_NUMBERS)
def test_the_longest_increasing_subsequence(numbers: list[int]) -> None:
    chain = [numbers[index] for index in longest_increasing(numbers)]
    assert all(one < other for one, other in pairwise(chain))
    assert len(chain) == _longest_common(numbers, sorted(set(numbers)))


def test_a_long_text_with_edits_is_told_word_by_word() -> None:
    before = " ".join(f"w{number % 900}" for number in range(30_000))
    words = before.split(" ")
    words[::500] = ["edited"] * len(words[::500])
    assert len(compare_texts(before, " ".join(words))) == 3 * 60


def test_edits_around_one_word_that_is_repeated_are_told() -> None:
    text = "word " * 3_000
    assert runs(f"a {text}b", f"x {text}y") == ["-a", "+x", f"= {text}", "-b", "+y"]


def test_a_text_with_too_many_changes_is_replaced_as_a_whole() -> None:
    before = " ".join(f"word{number}" for number in range(11_000))
    assert len(compare_texts(before, before.replace(" ", " and "))) < 5
    assert len(compare_texts(before[:60_000], before[:60_000].replace(" ", " and "))) > 10_000


def test_large_libraries_are_loaded_when_they_are_needed() -> None:
    modules = "html, passages, patch"
    code = f"import sys; from documents.comparison import {modules}; print({{'regex', 'django'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_spent_budget_leaves_a_text_replaced_as_a_whole() -> None:
    [deleted, inserted] = compare_texts("a b c x", "y a b c", Budget(0))
    assert (deleted.text, inserted.text) == ("a b c x", "y a b c")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SLOWEST else [pytest.mark.torture]) for name in PAIRS]
)
def test_large_documents_take_a_bounded_time(name: str) -> None:
    before, after = pair(name)
    started = time.process_time()
    difference = compare(before, after)
    assert time.process_time() - started < SECONDS
    assert difference.changes
