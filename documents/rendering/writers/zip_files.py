"""Zip files with the same bytes for the same entries."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can have


def deterministic_zip(entries: Mapping[str, bytes], *, first: str = "") -> bytes:
    """Return a zip file of entries, sorted by name, with a fixed time; `first` names the entry at its begin."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(entries, key=lambda each: (each != first, each)):
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, entries[name])
    return made.getvalue()
