"""Hashes of plain data that do not depend on the order of names."""

from __future__ import annotations

import hashlib
import json

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of plain data as canonical JSON: equal values have equal hashes."""
    return hashlib.sha256(_CANONICAL.encode(value).encode("utf-8", "surrogatepass")).hexdigest()
