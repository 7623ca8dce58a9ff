"""A cached value with a time to live: each process loads it from the database, and reuses it for some seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class TtlCache(Generic[Value]):
    """Holds one value. Any thread may use it; threads that find it expired at once each load it."""

    def __init__(self, load: Callable[[], Value], *, empty: Value, ttl_seconds: float) -> None:
        """Start empty.

        Args:
            load: Reads the value from the database.
            empty: The value before the first load.
            ttl_seconds: Default age up to which the value is fresh.
        """
        self._load, self._empty, self._ttl_seconds = load, empty, ttl_seconds
        self.value = empty  # as of the last load, whatever its age
        self._loaded_at = -math.inf  # on the monotonic clock

    def is_fresh(self, *, max_age: float | None = None) -> bool:
        """Return whether the value is at most `max_age` seconds old; None: the time to live."""
        return time.monotonic() - self._loaded_at < (self._ttl_seconds if max_age is None else max_age)

    def get(self, *, max_age: float | None = None) -> Value:
        """Return the value; load it if it is older than `max_age` seconds; None: the time to live."""
        return self.value if self.is_fresh(max_age=max_age) else self.load()

    def load(self) -> Value:
        """Load the value, and return it."""
        started_at = time.monotonic()
        self.value = self._load()
        self._loaded_at = started_at
        return self.value

    def clear(self) -> None:
        """Drop the value."""
        self.value, self._loaded_at = self._empty, -math.inf
