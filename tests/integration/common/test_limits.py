"""The limits, and the documentation page that lists them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from common.limits import Limits

PAGE = Path(__file__).resolve().parents[3] / "docs" / "limits.md"


def test_the_page_has_each_limit_with_its_setting_default_and_answer() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    expected = [
        f"| `{each.metadata['setting']}` | {each.metadata['meaning']} | {each.default:,} | {each.metadata['answer']} |"
        for each in fields(Limits)
    ]
    assert rows == expected
