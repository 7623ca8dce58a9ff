"""A replica takes over: with all that was confirmed, or without the last moments of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.chaos.driver import SETTINGS
from tests.chaos.model_server import CountingModel, counting_model
from tests.journeys.processes import Machine, machine, start_execution, wait_until
from tests.postgresql_servers import Server, Servers, url_of

pytestmark = [pytest.mark.journey, pytest.mark.postgresql]

EXECUTIONS = 12
BRIEF = "MARK-{}. The city lends 400 tools from 3 branches. Ms Ode decides on the budget of 20,000 EUR."
NUMBERS = [3 * number + 1 for number in range(EXECUTIONS + 8)]  # of marks about which the model asks nothing


@contextmanager
def installation(
    servers: Servers, folder: Path, *, synchronous: bool
) -> Iterator[tuple[Machine, Server, Server, CountingModel]]:
    """Provide a web process and two workers on a primary with a replica."""
    primary = servers.make()
    replica = servers.replica(primary, synchronous=synchronous)
    url = url_of([primary, replica], target_session_attrs="read-write", connect_timeout="3")
    with counting_model(seed=1, seconds=(0.3, 1.0)) as model:
        own = {"DATABASE_URL": url, "LOCAL": "1", "RUNNER_SILENT_SECONDS": "30"}
        settings = {**SETTINGS, **own, "OPENAI_BASE_URL": f"{model.url}/v1"}
        with machine(folder / "data", **settings) as installed:
            installed.prepare()
            installed.serve("--no-worker")
            for _ in range(2):
                installed.start("worker")
            yield installed, primary, replica, model


def started(client: httpx.Client, numbers: list[int]) -> list[str]:
    """Start executions, each with a mark of its own."""
    return [
        start_execution(client, BRIEF.format(number), workflow_id="meeting-minutes", key=f"p{number}")
        for number in numbers
    ]


def states(client: httpx.Client, ids: list[str]) -> list[str]:
    """Return the status of each execution; `gone` if there is none, `away` while the database is."""
    return [state(client, each) for each in ids]


def state(client: httpx.Client, execution_id: str) -> str:
    """Return the status of one."""
    answer = client.get(f"/executions/{execution_id}")
    if answer.status_code == 200:
        return str(answer.json()["status"])
    return "gone" if answer.status_code == 404 else "away"


def fail_over(primary: Server, replica: Server) -> None:
    """Have the primary crash, and its replica take over."""
    primary.stop(immediately=True)
    replica.promote()
    replica.change(synchronous_standby_names="")


def numbers_of(client: httpx.Client, execution_id: str) -> list[int]:
    """Return the numbers of an execution's events."""
    return [each["sequence"] for each in client.get(f"/executions/{execution_id}/events?limit=200").json()["data"]]


def test_a_synchronous_failover_loses_nothing(postgresql: Servers, tmp_path: Path) -> None:
    with installation(postgresql, tmp_path, synchronous=True) as (installed, primary, replica, model):
        with installed.client() as client:
            ids = started(client, NUMBERS[:EXECUTIONS])
            wait_until(lambda: states(client, ids).count("completed") >= 2, what="that some are done")
            fail_over(primary, replica)
            wait_until(lambda: set(states(client, ids)) == {"completed"}, what="that all are done")
            logs = [numbers_of(client, each) for each in ids]
        assert logs == [list(range(1, len(log) + 1)) for log in logs]
        assert set(model.bought.values()) == {1}  # replies that came meanwhile were stored afterwards
        assert all(process.poll() is None for process in installed.processes)


def test_an_asynchronous_failover_costs_the_last_moments_and_nothing_else(postgresql: Servers, tmp_path: Path) -> None:
    with installation(postgresql, tmp_path, synchronous=False) as (installed, primary, replica, _model):
        with installed.client() as client:
            ids = started(client, NUMBERS[:EXECUTIONS])
            wait_until(lambda: "running" in states(client, ids), what="that one runs")
            follows = "SELECT count(*) FROM pg_stat_replication"
            replica.change(primary_conninfo="")
            wait_until(lambda: primary.execute(follows) == [(0,)], what="that nothing is replicated")
            lost = started(client, NUMBERS[EXECUTIONS:])
            wait_until(
                lambda: states(client, lost).count("completed") >= 2, what="that some are done which will be lost"
            )
            fail_over(primary, replica)
            wait_until(lambda: set(states(client, ids)) == {"completed"}, what="that what is left is done")
            assert set(states(client, lost)) == {"gone"}
            logs = [numbers_of(client, each) for each in ids]
            new = started(client, NUMBERS[EXECUTIONS : EXECUTIONS + 2])
            wait_until(lambda: set(states(client, new)) == {"completed"}, what="that what is new is done")
        assert logs == [list(range(1, len(log) + 1)) for log in logs]
        assert "internal" not in installed.logs()
        assert all(process.poll() is None for process in installed.processes)
