"""Why the rehearsal writes no document."""

from __future__ import annotations


class Unwritable(Exception):
    """The rehearsal finds no value for a part of a schema; `pointer` leads to that part (RFC 6901)."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(
            f"The rehearsal cannot write what the schema asks for at {pointer[:300] or 'its root'}: {reason}."
        )
        self.pointer = pointer
        self.reason = reason


class Exhausted(Unwritable):
    """The document as a whole takes more work than the rehearsal does."""
