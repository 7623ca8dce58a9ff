"""Reads files in this process, as the process for files does."""

from __future__ import annotations

import pytest

from documents.extraction import child
from documents.extraction.limits import ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, RefusalCode


def read(data: bytes, name: str = "file", **limits: int) -> Extraction:
    """Return the text of a file."""
    return child.read(data, name, ExtractionLimits(**limits))


def refusal(data: bytes, name: str = "file", **limits: int) -> tuple[RefusalCode, str]:
    """Return the code and the sentence with which a file is refused."""
    with pytest.raises(FileRefused) as refused:
        read(data, name, **limits)
    return refused.value.code, refused.value.detail


def texts(extraction: Extraction) -> list[str]:
    """Return the texts of all segments."""
    return [each.text for each in extraction.segments]
