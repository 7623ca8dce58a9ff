"""The stream application over committed data."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from executions.progress.hub import StreamHub
from tests.integration.streams.client import Browser


@pytest.fixture
async def browser(transactional_db: None) -> AsyncIterator[Browser]:
    """A client of the stream's application, with streams of its own."""
    streams = StreamHub()
    yield Browser(streams)
    await streams.close()
