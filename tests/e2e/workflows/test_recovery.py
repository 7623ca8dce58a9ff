"""Guarantees when processes die."""

from __future__ import annotations

import signal

import httpx
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, stream, wait_for_status, wait_until
from tests.support.waiting import HANG_SECONDS, Stopwatch

pytestmark = pytest.mark.e2e

QUICK_RECOVERY = {"WORKER_SILENT_SECONDS": "2", "RECOVERY_INTERVAL_SECONDS": "0.5", "HEARTBEAT_SECONDS": "0.5"}


def _is_at_work(client: httpx.Client, execution_id: str) -> bool:
    """Whether the three steps that can run side by side have all asked their models."""
    steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    return sum(step["status"] == "running" for step in steps) == 3


def _assert_whole(client: httpx.Client, execution_id: str) -> None:
    """The log has no gap, no document is doubled, and the costs are those of the ledger."""
    sequences = [sequence for sequence, _, _ in stream(client, execution_id)]
    assert sequences == list(range(1, len(sequences) + 1))
    documents = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
    assert [document["version"] for document in documents] == [1] * len(documents)
    assert len({document["type"] for document in documents}) == len(documents) == 4


def _calls(client: httpx.Client, execution_id: str) -> list[str]:
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return [call["status"] for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]


@pytest.mark.torture
def test_an_execution_completes_after_its_worker_was_killed_in_a_step(fresh: Machine) -> None:
    fresh.environment |= QUICK_RECOVERY
    fresh.serve("--no-worker")
    worker = fresh.start("worker", REHEARSAL_LATENCY_SECONDS="3")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        wait_until(lambda: _is_at_work(client, execution_id), what="a running step")
        worker.kill()
        worker.wait()
        fresh.start("worker")
        wait_for_status(client, execution_id, "completed")
        _assert_whole(client, execution_id)
        assert "unknown" in _calls(client, execution_id)


@pytest.mark.torture
def test_a_paused_worker_that_wakes_up_after_another_took_over_writes_nothing(fresh: Machine) -> None:
    fresh.environment |= QUICK_RECOVERY
    fresh.serve("--no-worker")
    # Its model answers while it is paused. It counts as lost only after two seconds; no worker takes over earlier.
    zombie = fresh.start("worker", REHEARSAL_LATENCY_SECONDS="1.5")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        wait_until(lambda: _is_at_work(client, execution_id), what="a running step")
        zombie.send_signal(signal.SIGSTOP)
        fresh.start("worker")
        wait_for_status(client, execution_id, "completed")
        before = client.get(f"/executions/{execution_id}").json()
        zombie.send_signal(signal.SIGCONT)
        wait_until(lambda: "discarded" in _calls(client, execution_id), what="the late reply's booking")
        after = client.get(f"/executions/{execution_id}").json()
        assert after["version"] == before["version"]
        _assert_whole(client, execution_id)


@pytest.mark.torture
def test_a_worker_that_is_told_to_stop_hands_its_work_to_the_next(fresh: Machine) -> None:
    fresh.environment |= {"SHUTDOWN_GRACE_SECONDS": "1"}
    fresh.serve("--no-worker")
    first = fresh.start("worker", REHEARSAL_LATENCY_SECONDS="30")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        wait_until(lambda: _is_at_work(client, execution_id), what="a running step")
        first.terminate()
        assert first.wait(HANG_SECONDS) == 0
        fresh.start("worker")
        watch = Stopwatch()
        wait_for_status(client, execution_id, "completed")
        assert watch.seconds() < 20  # long before recovery would consider its worker lost
        _assert_whole(client, execution_id)


@pytest.mark.torture
def test_a_cancel_from_the_web_process_ends_the_call_in_the_worker(fresh: Machine) -> None:
    fresh.serve("--no-worker")
    fresh.start("worker", REHEARSAL_LATENCY_SECONDS="60")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        wait_until(lambda: _is_at_work(client, execution_id), what="a running step")
        assert client.post(f"/executions/{execution_id}/cancel").status_code == 200
        events = [event for _, event, _ in stream(client, execution_id)]
        assert events[-1] == "complete"
        assert client.get(f"/executions/{execution_id}").json()["status"] == "cancelled"
        assert set(_calls(client, execution_id)) == {"discarded"}
