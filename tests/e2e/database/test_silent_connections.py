"""All database connections are silent for a minute: all work continues afterwards, with default settings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from orchestrator.web.loop_monitor import machine_waited
from tests.chaos.driver import SETTINGS
from tests.chaos.model_server import CountingModel, counting_model
from tests.e2e.processes import Machine, start_execution, stream, wait_for_status, wait_until
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.postgresql]

EXECUTIONS = 12
SILENT_SECONDS = 60.0
BACK_SECONDS = 60.0  # within which each execution has moved, after that
SLOW_SECONDS = 60.0  # more at most, by as much as this machine had too little CPU
BRIEF = "MARK-{}. The city lends 400 tools from 3 branches. Ms Ode decides on the budget of 20,000 EUR."
MODELS = {name: value for name, value in SETTINGS.items() if name.startswith(("MODEL_", "OPENAI_"))}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingModel]:
    """A model server; and the settings of the product are its own defaults, not those of other tests."""
    for name in ("DATABASE_WAIT_SECONDS", "DATABASE_IDLE_TRANSACTION_SECONDS"):
        monkeypatch.delenv(name)
    with counting_model(seed=1, seconds=(3.0, 9.0)) as made:
        yield made


def follow(client: httpx.Client, execution_id: str) -> list[int]:
    """Return the numbers of an execution's events as a client gets them that comes back until the end."""
    numbers: list[int] = []
    names: list[str] = []
    while names[-1:] != ["complete"]:
        try:
            for number, name, _ in stream(client, execution_id, after=numbers[-1] if numbers else None):
                numbers.append(number)
                names.append(name)
        except (httpx.TransportError, AssertionError):  # the second one: answered with 503
            time.sleep(0.5)
    return numbers


def events_of(client: httpx.Client, execution_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/executions/{execution_id}/events?limit=200").json()["data"]
    return found


def all_are_under_way(client: httpx.Client, ids: list[str]) -> bool:
    """Return whether each execution has a step at work."""
    return all("step_started" in {each["event_type"] for each in events_of(client, one)} for one in ids)


def test_after_a_minute_of_silence_all_executions_go_on_within_another(
    linked: Machine, link: TcpProxy, model: CountingModel
) -> None:
    settings = {**MODELS, "OPENAI_BASE_URL": f"{model.url}/v1"}
    started = [linked.serve("--no-worker"), *(linked.start("worker", **settings) for _ in range(2))]
    with linked.client() as client, linked.client() as streams, ThreadPoolExecutor(EXECUTIONS) as threads:
        ids = [
            start_execution(client, BRIEF.format(3 * number + 1), workflow_id="strategy-document", key=f"p{number}")
            for number in range(EXECUTIONS)
        ]
        following = [threads.submit(follow, streams, each) for each in ids]
        wait_until(lambda: all_are_under_way(client, ids), what="that all are under way")
        link.silence = True
        time.sleep(SILENT_SECONDS)
        link.silence = False
        ended_at, waited = datetime.now(UTC), machine_waited()
        for each in ids:
            wait_for_status(client, each, "completed")
        slow = min(machine_waited() - waited, SLOW_SECONDS)
        followed = [each.result(HANG_SECONDS) for each in following]
        logs = [events_of(client, each) for each in ids]
    for numbers, log in zip(followed, logs, strict=True):
        assert numbers == [each["sequence"] for each in log] == list(range(1, len(log) + 1))
        after = [at for each in log if (at := datetime.fromisoformat(each["timestamp"])) > ended_at]
        assert (after[0] - ended_at).total_seconds() < BACK_SECONDS + slow
    assert set(model.bought.values()) == {1}  # replies that came meanwhile were stored afterwards
    assert [each.poll() for each in started] == [None] * len(started)
