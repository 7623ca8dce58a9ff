"""The shipped Python client receives every event once, although the server is killed in between."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from tests.e2e.processes import CLOSED_BRIEF, ROOT, Machine, start_execution, wait_for_status, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

sys.path.insert(0, str(ROOT / "examples"))


@pytest.mark.torture
def test_each_event_comes_once_though_the_server_is_killed(fresh: Machine) -> None:
    from follow import follow

    server = fresh.serve("--no-worker")
    with fresh.client() as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        events: list[dict[str, object]] = []
        scope: list[dict[str, object]] = []

        def read_scope() -> None:
            for event in follow(fresh.url, "/scopes/project/p1/stream", token):
                scope.append(event)
                if event["event_type"] == "complete":
                    return

        def read() -> None:
            events.extend(follow(fresh.url, f"/executions/{execution_id}/stream", token))

        threads = [threading.Thread(target=each, daemon=True) for each in (read, read_scope)]
        for thread in threads:
            thread.start()
        wait_until(lambda: threads[0].is_alive() and len(events) >= 1, what="the first event")
        fresh.start("worker", REHEARSAL_LATENCY_SECONDS="2")
        wait_until(lambda: scope and "step_delta" in {event["event_type"] for event in events}, what="text")
        server.send_signal(signal.SIGKILL)
        server.wait()
        fresh.serve("--no-worker")
        wait_for_status(client, execution_id, "completed")
        for thread in threads:
            thread.join(HANG_SECONDS)
            assert not thread.is_alive()
    stored = [event["sequence"] for event in events if event["event_type"] != "step_delta"]
    assert stored == list(range(1, len(stored) + 1))
    assert [event["sequence"] for event in scope] == stored[-len(scope) :]
    assert (events[-1]["event_type"], scope[-1]["event_type"]) == ("complete", "complete")
