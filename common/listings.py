"""Names in a sentence: as many as a person reads, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

MAX_NAMES = 20


def listed(names: Sequence[object], *, total: int | None = None) -> str:
    """Return the first names with commas between them, and how many more there are.

    Args:
        names: At least one; those after `MAX_NAMES` are counted only.
        total: How many there are, when `names` is not all of them.
    """
    shown = [str(name) for name in names[:MAX_NAMES]]
    more = (len(names) if total is None else total) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
