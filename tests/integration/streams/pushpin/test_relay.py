"""The relay, with a substitute for Pushpin's control endpoint: what it publishes, and when it repeats."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from executions.db_threads import in_thread
from executions.engine.domain.events import StepSkipped
from executions.engine.runtime.cancellation import cancel_and_wait
from executions.models import ExecutionEvent
from executions.progress.pushpin import relay
from tests.factories.executions import outage
from tests.factories.streams import ASKED, SKIPPED, STARTED, append, make_execution, make_user
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


class Endpoint(ThreadingHTTPServer):
    """Takes events as Pushpin does, or refuses them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.items: list[dict[str, Any]] = []
        self.refusals = 0
        self.refuses = False

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """The number of each event that it took, and the one before."""
        return [(each["prev-id"], each["id"]) for each in self.items]


class _Taker(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuses or self.path != "/publish/":
            self.server.refusals += 1
        else:
            self.server.items += body["items"]
        self.send_response(503 if self.server.refuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """There is a Pushpin to publish to."""
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.05)
    with Endpoint() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        settings.GRIP_URL = f"http://127.0.0.1:{server.server_address[1]}?verify-key=k"
        yield server
        server.shutdown()
        serving.join()


@asynccontextmanager
async def relaying() -> AsyncIterator[None]:
    """Have a relay run."""
    task = asyncio.create_task(relay.Relay().run())
    try:
        yield
        assert not task.done()
    finally:
        await cancel_and_wait(task)


async def until(endpoint: Endpoint, *numbers: int) -> None:
    """Wait until the endpoint has taken events with these numbers, in this order and no others."""
    wanted = [(str(number - 1), str(number)) for number in numbers]
    async with asyncio.timeout(HANG_SECONDS):
        while len(endpoint.items) < len(wanted):
            await asyncio.sleep(0.01)
    assert endpoint.numbers == wanted


async def tell(*events: Any) -> None:
    """Have something told in the feed of project p."""

    def told() -> None:
        append(make_execution(make_user("ann")[0], scope="p"), *events)

    await in_thread(told)


async def test_events_are_published_with_their_numbers_as_they_come(endpoint: Endpoint) -> None:
    async with relaying():
        await tell(STARTED, ASKED)
        await until(endpoint, 1, 2)
        await tell(SKIPPED)
        await until(endpoint, 1, 2, 3)
    [channel] = {each["channel"] for each in endpoint.items}
    assert channel.startswith("feed-")
    content = endpoint.items[2]["formats"]["http-stream"]["content"]
    assert content.startswith("event: step_skipped\nid: 3\ndata: {")
    assert content.endswith("\n\n")


async def test_what_was_told_shortly_before_the_start_is_published_and_nothing_older(endpoint: Endpoint) -> None:
    await tell(STARTED, ASKED)
    async with relaying():
        await until(endpoint, 1, 2)
    endpoint.items.clear()
    an_hour_ago = timezone.now() - timedelta(hours=1)
    await in_thread(partial(ExecutionEvent.objects.update, timestamp=an_hour_ago))
    async with relaying():
        await tell(SKIPPED)
        await until(endpoint, 3)


async def test_what_pushpin_did_not_take_is_published_once_it_does(endpoint: Endpoint) -> None:
    endpoint.refuses = True
    async with relaying():
        await tell(STARTED)
        await tell(ASKED)
        async with asyncio.timeout(HANG_SECONDS):
            while endpoint.refusals < 2:
                await asyncio.sleep(0.01)
        endpoint.refuses = False
        await until(endpoint, 1, 2)


async def test_events_without_a_listener_are_published_later(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    async with relaying():
        await tell(STARTED)
        await until(endpoint, 1)
        with outage():
            async with asyncio.timeout(HANG_SECONDS):
                while "The listener lost its connection" not in caplog.text:
                    await asyncio.sleep(0.01)
        await tell(ASKED)
        await until(endpoint, 1, 2)


async def test_a_large_event_is_left_out_and_shows_as_a_gap(endpoint: Endpoint) -> None:
    large = StepSkipped(step_id="draft", reason="x" * relay.ITEM_BYTES)
    async with relaying():
        await tell(STARTED, large, ASKED)
        await until(endpoint, 1, 3)
