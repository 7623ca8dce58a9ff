"""Reading of files: how many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from common import limits
from documents.extraction.results import Extraction
from documents.files import reader


async def read() -> Extraction:
    async with reader.turn():
        return await reader.read_file(b"Some text.", name="a.txt")


async def test_more_files_than_readers_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(limits, "_current", replace(limits.limits(), file_readers=2))
    reads = [read() for _ in range(3)]
    found = await asyncio.gather(*reads, return_exceptions=True)
    busy = [each for each in found if isinstance(each, reader.TooManyFiles)]
    assert [each.retry_after for each in busy] == [5]
    assert sum(isinstance(each, Extraction) for each in found) == 2


async def test_a_file_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_current", replace(limits.limits(), file_readers=1))
    reads = [read() for _ in range(2)]
    assert [each.characters for each in await asyncio.gather(*reads)] == [10, 10]
