"""Lists of names in messages."""

from __future__ import annotations

import pytest

from common.listings import MAX_NAMES, listed


@pytest.mark.parametrize(
    ("names", "total", "sentence"),
    [
        (["a"], None, "a"),
        (["a", 2], None, "a, 2"),
        (["a"] * MAX_NAMES, None, ", ".join(["a"] * MAX_NAMES)),
        (["a"] * (MAX_NAMES + 3), None, ", ".join(["a"] * MAX_NAMES) + " and 3 more"),
        (["a"] * MAX_NAMES, MAX_NAMES + 1, ", ".join(["a"] * MAX_NAMES) + " and 1 more"),
    ],
)
def test_names_are_listed_and_the_rest_is_counted(names: list[object], total: int | None, sentence: str) -> None:
    assert listed(names, total=total) == sentence
