"""Limits of reading one file."""

from __future__ import annotations

from dataclasses import dataclass

from documents.extraction.results import FileRefused, RefusalCode

#: How the process ends that reads a file, when it reaches its limit of memory.
EXIT_OUT_OF_MEMORY = 86

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ExtractionLimits:
    """Limits of one file. The process that reads it ends at `seconds` and at `memory_bytes`."""

    file_bytes: int = 20 * _MIB
    pages: int = 500
    characters: int = 2_000_000
    cells: int = 200_000
    pixels: int = 64_000_000
    seconds: int = 30
    memory_bytes: int = 512 * _MIB


class CharacterBudget:
    """Counts the characters that a reader takes out of a file."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limit = self._left = limits.characters

    def spend(self, text: str) -> str:
        """Return the text.

        Raises:
            FileRefused: the file has more characters than its limit.
        """
        self._left -= len(text)
        if self._left < 0:
            raise FileRefused(RefusalCode.TOO_LARGE, f"has more than {self._limit:,} characters of text")
        return text
