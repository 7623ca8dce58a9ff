"""A long text, written fast: clients assemble exactly the text that the model wrote."""

from __future__ import annotations

import logging
import os
import signal
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_until
from tests.e2e.providers.test_providers import asking
from tests.e2e.streams.long_text import Watcher, delays_of, events_of, long_reply, text_of
from tests.integration.llm.model_server import Answer
from tests.support.waiting import HANG_SECONDS, Stopwatch

pytestmark = pytest.mark.e2e

TOKENS = 1_500  # of the text that is not interrupted
PAUSE = 0.001  # seconds between two pieces
CALM_PAUSE = 0.0025  # the same, of a text that takes its time

logger = logging.getLogger(__name__)


@pytest.mark.torture
def test_a_long_text_arrives_whole_and_soon_also_over_a_reconnect(fresh: Machine) -> None:
    answer = long_reply(TOKENS)
    text = text_of(answer)
    shown = threading.Event()  # the last of the text; the reply ends after that
    with asking(fresh, Answer(pause=PAUSE, hold=shown, streamed=answer)) as server:
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client, fresh.client() as other, ThreadPoolExecutor(2) as threads:
            execution_id = start_execution(client, CLOSED_BRIEF)
            steady, cut = Watcher(), Watcher()
            following = [threads.submit(steady.watch, client, execution_id)]
            cut.watch(other, execution_id, until=len(text) // 3)
            following.append(threads.submit(cut.watch, other, execution_id))
            wait_until(lambda: steady.text == cut.text == text, what="the whole text, twice")
            shown.set()
            for each in following:
                each.result(timeout=HANG_SECONDS)
            assert cut.offsets[0] == 0
    assert steady.text == text
    assert cut.text == text
    assert len(steady.arrived) <= 12 + 10 * (steady.arrived[-1] - steady.arrived[0])  # at most ten a second
    delays = delays_of(server, steady, text)
    p50, p99 = statistics.median(delays), delays[len(delays) * 99 // 100]
    logger.info("token to client: p50 %.0f ms, p99 %.0f ms, of %d tokens", p50 * 1000, p99 * 1000, len(delays))
    assert p50 < (steady.arrived[-1] - steady.arrived[0]) / 4  # it came while it was written


@pytest.mark.torture
def test_a_crash_of_the_database_loses_no_character(fresh: Machine) -> None:
    answer = long_reply()
    text = text_of(answer)
    shown = threading.Event()  # the last of the text; the reply ends after that
    with asking(fresh, Answer(pause=CALM_PAUSE, hold=shown, streamed=answer)):
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client, ThreadPoolExecutor(1) as threads:
            execution_id = start_execution(client, CLOSED_BRIEF)
            watcher = Watcher()
            following = threads.submit(watcher.watch, client, execution_id)
            # So late that the ids of pieces, which begin anew, do not come as far once more.
            wait_until(lambda: len(watcher.text) > len(text) * 2 // 3, what="two thirds of the text")
            note = instance.home_of(fresh.data_dir) / "data" / "postmaster.pid"
            os.kill(int(note.read_text().split()[0]), signal.SIGQUIT)  # unlogged tables are empty after that
            wait_until(lambda: watcher.text == text, what="the whole text")
            shown.set()
            following.result(timeout=HANG_SECONDS)
    assert watcher.text == text
    assert watcher.offsets.count(0) == 1


@pytest.mark.torture
def test_a_cancel_in_the_middle_of_a_text_closes_the_connection_within_two_seconds(fresh: Machine) -> None:
    with asking(fresh, Answer(pause=CALM_PAUSE, streamed=long_reply())) as server:
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF)
            Watcher().watch(client, execution_id, until=200)
            watch = Stopwatch()
            assert client.post(f"/executions/{execution_id}/cancel").status_code == 200
            wait_until(lambda: server.left, what="the end of the connection")
            assert watch.seconds() < 2
            late = [event.event for event in events_of(client, execution_id, after=0)]
    assert "step_delta" not in late
