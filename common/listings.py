"""Lists of names in messages, shortened to a readable length."""

from __future__ import annotations

from collections.abc import Sequence

MAX_NAMES = 20


def listed(names: Sequence[object], *, total: int | None = None) -> str:
    """Return the first names, separated by commas, and the number of further names.

    Args:
        names: At least one name; those after `MAX_NAMES` are only counted.
        total: Number of all names, if `names` holds only a part.
    """
    shown = [str(name) for name in names[:MAX_NAMES]]
    more = (len(names) if total is None else total) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
