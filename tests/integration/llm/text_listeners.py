"""Ears for what models write."""

from __future__ import annotations


def ignore(_text: str) -> None:
    """Hear nothing."""
