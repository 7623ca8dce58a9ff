"""Errors of the document generator."""

from __future__ import annotations


class Unwritable(Exception):
    """No value was found for a part of a schema; `pointer` leads to that part (RFC 6901)."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(
            f"The rehearsal cannot generate a value for the schema at {pointer[:300] or 'its root'}: {reason}."
        )
        self.pointer = pointer
        self.reason = reason


class Exhausted(Unwritable):
    """Generating the document exceeds the rehearsal's limits."""
