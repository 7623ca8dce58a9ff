"""The script of a dry run in words."""

from __future__ import annotations

from typing import Any

import pytest

from console.execution_pages.script_words import script_in_words


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"fail": ["timed_out"]}, ["its first call fails: it takes too long"]),
        (
            {"fail": ["provider_unavailable", "model_refused"]},
            ["its first 2 calls fail: the provider is not available, the model refuses"],
        ),
        ({"ask": [{"text": "Who decides?"}], "invalid": 1}, ["it asks 1 question", "1 output is not valid"]),
        (
            {"verdicts": ["needs_revision", "failed", "satisfied"]},
            ["its reviews say: needs a revision, a revision would not help, satisfied"],
        ),
        ({"latency_seconds": 60}, ["each call takes 1 min 0 s"]),
    ],
)
def test_what_is_scripted_for_a_step(step: dict[str, Any], expected: list[str]) -> None:
    assert script_in_words({"steps": {"research": step}}, {"research": "Research"}) == [("Research", expected)]


def test_what_holds_for_all_steps_comes_first_and_empty_scripts_are_left_out() -> None:
    script = {"latency_seconds": 2.0, "steps": {"gone": {"invalid": 2}, "research": {}}}
    assert script_in_words(script, {"research": "Research"}) == [
        ("", ["each call takes 2.0 s"]),
        ("gone", ["2 outputs are not valid"]),
    ]
    assert script_in_words({}, {}) == []
