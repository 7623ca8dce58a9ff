"""Texts that somebody else wrote, and what of them can be kept."""

from __future__ import annotations

import re

#: What PostgreSQL keeps in no text: U+0000, and halves of surrogate pairs.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Return a text that somebody else wrote, with what no database keeps replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)
