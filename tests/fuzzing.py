"""How long the suite searches for faults at random: `FUZZ_SECONDS` in all, shared among its searches."""

from __future__ import annotations

import os

_ALL = float(os.environ.get("FUZZ_SECONDS", "30"))


def share_of_30(seconds: float) -> float:
    """Return the time of a search that takes so many of the 30 seconds that are the default."""
    return _ALL * seconds / 30
