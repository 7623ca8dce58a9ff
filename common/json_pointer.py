"""JSON Pointers (RFC 6901): the places of values in JSON."""

from __future__ import annotations


def pointer(*parts: str | int) -> str:
    """Return the pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
