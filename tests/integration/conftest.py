"""Committed data, the stream's application, and a worker's ports around a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from executions.progress import notifier
from executions.progress.streams import Streams
from tests.progress.client import Browser


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    """A database that other connections see, and a notifier that lets go of it afterwards."""
    yield
    notifier.stop()


@pytest_asyncio.fixture
async def browser(committed: None) -> AsyncIterator[Browser]:
    """A client of the stream's application."""
    streams = Streams()
    yield Browser(streams)
    await streams.close()
