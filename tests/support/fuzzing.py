"""How long the suite searches for faults at random: `FUZZ_SECONDS` in all, shared among its searches.

`make test` takes a tenth of the 30 seconds of `make test-all`, and a tenth of its examples.
"""

from __future__ import annotations

import os

_ALL = float(os.environ.get("FUZZ_SECONDS", "3"))
_FEWEST = 10


def share_of_30(seconds: float) -> float:
    """Return the time of a search that takes so many of 30 seconds."""
    return _ALL * seconds / 30


def examples(number: int) -> int:
    """Return how many examples a search tries that tries so many in 30 seconds."""
    return max(_FEWEST, round(number * _ALL / 30))
