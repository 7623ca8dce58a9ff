"""The real application over the test database, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from django.db import connections

from executions.progress import notifier
from executions.progress.streams import Streams
from tests.progress.client import Browser


@pytest.fixture
def hints(transactional_db: None) -> Iterator[None]:
    """A database that other connections see, and a notifier that lets go of it afterwards."""
    yield
    notifier.stop()


@pytest_asyncio.fixture
async def browser(hints: None) -> AsyncIterator[Browser]:
    """A client of the stream's application, with streams of its own."""
    streams = Streams()
    yield Browser(streams)
    await streams.close()
