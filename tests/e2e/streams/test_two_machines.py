"""Two web processes that share only a PostgreSQL server; a Redis server changes nothing."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import (
    CLOSED_BRIEF,
    STOP_SECONDS,
    Machine,
    free_port,
    machine,
    start_execution,
    stream,
    wait_for_status,
    wait_until,
)
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

_SEND = """
from django_eventstream import send_event
from django_eventstream.eventstream import redis_client
with redis_client.pubsub() as everybody:
    everybody.subscribe('events_channel')
    everybody.get_message(timeout=60)
    send_event('of-their-own', 'hello', {})
    print('heard', everybody.get_message(timeout=60)['data'])
"""


@pytest.fixture
def second(fresh: Machine, tmp_path: Path) -> Iterator[Machine]:
    """Another machine, with the database's address and the secret of the first."""
    fresh.environment["SECRET_KEY"] = "shared by both"
    shared = {"DATABASE_URL": instance.url(fresh.data_dir), "LOCAL": "1", "SECRET_KEY": "shared by both"}
    with machine(tmp_path / "second", **shared) as other:
        yield other


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis of one's own: its URL, and the process."""
    port = free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        wait_until(answers, what="Redis's start")
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _follow(client: httpx.Client, port: int, execution_id: str) -> list[tuple[int, str, dict[str, Any]]]:
    base = f"http://127.0.0.1:{port}/api/v1"
    with httpx.Client(base_url=base, headers=client.headers, timeout=HANG_SECONDS) as follower:
        return list(stream(follower, execution_id))


def _followed_through_both(first: Machine, second: Machine, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Start an execution through the first, have it done by one worker, and follow it through both."""
    with first.client() as client, ThreadPoolExecutor() as pool:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        following = [pool.submit(_follow, client, each.port, execution_id) for each in (first, second)]
        second.start("worker", REHEARSAL_LATENCY_SECONDS="0.2")
        wait_for_status(client, execution_id, "running")
        meanwhile()
        here, there = (each.result(HANG_SECONDS) for each in following)
        assert here == there
        assert [number for number, _, _ in here] == list(range(1, len(here) + 1))
        assert here[-1][1] == "complete"
        # On from anywhere, through the other one.
        with httpx.Client(base_url=f"{second.url}/api/v1", headers=client.headers, timeout=HANG_SECONDS) as other:
            assert [number for number, _, _ in islice(stream(other, execution_id, after=3), 2)] == [4, 5]


@pytest.mark.torture
def test_an_execution_is_followed_through_two_web_processes_that_share_the_database_alone(
    fresh: Machine, second: Machine
) -> None:
    fresh.serve("--no-worker")
    second.serve("--no-worker")
    _followed_through_both(fresh, second)


@pytest.mark.redis
def test_redis_carries_what_others_send_and_its_death_is_nothing_to_streams(
    fresh: Machine, second: Machine, redis: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = redis
    for each in (fresh, second):
        each.environment["EVENTSTREAM_REDIS_URL"] = url
    fresh.serve("--no-worker")
    second.serve("--no-worker")
    assert '"channel": "of-their-own", "event_type": "hello"' in second.manage("shell", "-c", _SEND)
    _followed_through_both(fresh, second, meanwhile=process.kill)
    process.wait()
    with pytest.raises(AssertionError, match="ConnectionError"):  # the sender gets the error
        second.manage("shell", "-c", _SEND)
    assert "Traceback" not in fresh.logs() + second.logs()
