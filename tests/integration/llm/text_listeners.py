"""Listeners for the text that models write."""

from __future__ import annotations


def ignore(_text: str) -> None:
    """Hear nothing."""
