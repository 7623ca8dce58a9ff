"""A replica takes over, with all confirmed commits or without the last ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from tests.chaos.driver import SETTINGS
from tests.chaos.model_server import CountingModel, counting_model
from tests.e2e.processes import Machine, machine, start_execution, wait_until
from tests.support.postgresql_servers import Server, Servers, url_of

pytestmark = [pytest.mark.e2e, pytest.mark.postgresql]

EXECUTIONS = 12
RESET = "stream-reset"
BRIEF = "MARK-{}. The city lends 400 tools from 3 branches. Ms Ode decides on the budget of 20,000 EUR."
ASKED = [300 + 3 * number for number in range(4)]  # marks about which it asks one question
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
        own = {"DATABASE_URL": url, "LOCAL": "1", "WORKER_SILENT_SECONDS": "30"}
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


class Reader(threading.Thread):
    """A client of a stream that comes back with its last id until it is told that nothing follows."""

    def __init__(self, client: httpx.Client, execution_id: str, *, after: int | None = None) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, str, dict[str, Any]]] = []  # id, event, data
        self.refused = 0  # with which status; 204 after the end of an execution
        self.left = False
        self._client = client
        self._path = f"/executions/{execution_id}/stream"
        self._last = after
        self.start()

    def run(self) -> None:
        while not (self.left or self.refused):
            with suppress(httpx.TransportError):
                self._connect()
            time.sleep(0.1)

    def _connect(self) -> None:
        headers = {} if self._last is None else {"Last-Event-ID": str(self._last)}
        with connect_sse(self._client, "GET", self._path, headers=headers) as source:
            if source.response.status_code not in {200, 503}:
                self.refused = source.response.status_code
            elif source.response.status_code == 200:
                for event in source.iter_sse():
                    if event.data and event.event != "step_delta":
                        self._last = int(event.id)
                        self.seen.append((self._last, event.event, event.json()["data"]))
                    if self.left:
                        return

    @property
    def numbers(self) -> list[int]:
        """The ids of the events that came, without what says that events are lost."""
        return [number for number, name, _ in self.seen if name != RESET]

    @property
    def told(self) -> list[dict[str, int]]:
        """What was said of lost events."""
        return [data for _, name, data in self.seen if name == RESET]

    def has_up_to(self, last: int) -> bool:
        """Return whether the events from the first to this one came, each once."""
        return self.numbers == [*range(1, last + 1)]

    def is_told_the_end(self) -> bool:
        """Return whether nothing more will come."""
        return self.refused == 204

    def has(self, name: str) -> bool:
        """Return whether such an event came."""
        return name in {each for _, each, _ in self.seen}


def start_asking(client: httpx.Client, number: int) -> str:
    """Start an execution that waits with a question; its answer leads to a call that its budget does not have.

    All are in one scope, so the user keeps the role even if the failover loses one execution.
    """
    body = {"workflow_id": "strategy-document", "scope_type": "project", "scope_id": "asked"}
    answer = client.post("/executions/", json={**body, "input": BRIEF.format(number), "budget": {"max_calls": 1}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["execution_id"])


def answer_questions(client: httpx.Client, execution_id: str) -> None:
    """Answer what an execution asks, if it waits for that."""
    for step in client.get(f"/executions/{execution_id}/steps").json()["data"]:
        if step["status"] == "waiting" and (asked := step["clarification"]):
            answers = {question["id"]: "400" for question in asked["questions"]}
            path = f"/executions/{execution_id}/steps/{step['step_id']}/clarification"
            answer = client.post(path, json={"answers": answers})
            assert answer.status_code == 200, answer.text


def is_brought_to_its_end(client: httpx.Client, execution_id: str) -> bool:
    """Return whether an execution has completed; answer what it asks until then."""
    if waits_on(client, execution_id) == ["clarification"]:
        answer_questions(client, execution_id)
    return state(client, execution_id) == "completed"


def waits_on(client: httpx.Client, execution_id: str) -> list[str]:
    """Return what an execution waits for."""
    found: list[str] = client.get(f"/executions/{execution_id}").json().get("waiting_on", [])
    return found


def wait_until_it_waits(client: httpx.Client, execution_id: str, on: str) -> None:
    """Wait until an execution waits for this alone."""
    wait_until(lambda: waits_on(client, execution_id) == [on], what=f"that {execution_id} waits for {on}")


def cut_off(primary: Server, replica: Server) -> None:
    """Have the replica get everything that there is, and nothing more."""
    here, there = "SELECT pg_current_wal_lsn()::text", "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    [(position,)] = primary.execute(here)
    wait_until(lambda: replica.execute(there, position) == [(True,)], what="that the replica has everything")
    replica.change(primary_conninfo="")
    follows = "SELECT count(*) FROM pg_stat_replication"
    wait_until(lambda: primary.execute(follows) == [(0,)], what="that nothing is replicated")


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


def test_streams_are_told_what_an_asynchronous_failover_has_lost(postgresql: Servers, tmp_path: Path) -> None:
    with (
        installation(postgresql, tmp_path, synchronous=False) as (installed, primary, replica, _model),
        installed.client() as client,
    ):
        whole, short, left, gone = ASKED
        ids = {number: start_asking(client, number) for number in (whole, short, left)}
        readers = {number: Reader(client, each) for number, each in ids.items()}
        for number, each in ids.items():
            wait_until_it_waits(client, each, "clarification")
            wait_until(partial(readers[number].has, "execution_waiting"), what="its event")
        kept = {number: len(numbers_of(client, each)) for number, each in ids.items()}
        cut_off(primary, replica)
        for number in (short, left):
            answer_questions(client, ids[number])
            wait_until_it_waits(client, ids[number], "budget")
        ids[gone] = start_asking(client, gone)
        readers[gone] = Reader(client, ids[gone])
        wait_until_it_waits(client, ids[gone], "clarification")
        sent = {number: len(numbers_of(client, each)) for number, each in ids.items()}
        for number, reader in readers.items():
            wait_until(partial(reader.has_up_to, sent[number]), what="that all are sent")
        readers[left].left = True  # and does not look at what comes until it is back
        fail_over(primary, replica)
        wait_until(lambda: readers[gone].refused, what="that the stream of what is lost has ended")
        assert (readers[gone].told, readers[gone].refused) == ([{"oldest": 1, "asked": sent[gone]}], 404)
        wait_until(lambda: readers[short].told, what="that an open stream is told")
        back = Reader(client, ids[left], after=sent[left])
        wait_until(lambda: back.told, what="that a client which comes back is told")
        for reader, number in ((readers[short], short), (back, left)):
            assert reader.told == [{"oldest": kept[number] + 1, "asked": sent[number]}]
        for number, reader in ((whole, readers[whole]), (short, readers[short]), (left, back)):
            answer_questions(client, ids[number])
            wait_until_it_waits(client, ids[number], "budget")
            assert client.patch(f"/executions/{ids[number]}/budget", json={"max_calls": 99}).status_code == 200
            wait_until(partial(is_brought_to_its_end, client, ids[number]), what="its end")
            wait_until(reader.is_told_the_end, what="the end of a stream")
            log = numbers_of(client, ids[number])
            assert log == [*range(1, len(log) + 1)]
        assert readers[whole].told == []
        assert readers[whole].numbers == numbers_of(client, ids[whole])
        assert readers[short].numbers == [*range(1, sent[short] + 1), *numbers_of(client, ids[short])[kept[short] :]]
        assert back.numbers == numbers_of(client, ids[left])[kept[left] :]
        assert all(process.poll() is None for process in installed.processes)
