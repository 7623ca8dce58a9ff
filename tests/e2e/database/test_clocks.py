"""Processes with wrong or changed clocks: no call is paid for twice, and every stored time is right."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from orchestrator.embedded_postgres import instance
from orchestrator.web.loop_monitor import machine_waited
from tests.e2e.processes import Machine, machine, wait_for_status, wait_until
from tests.factories.engine import SCHEMA
from tests.integration.llm.model_server import Answer, ModelServer, model_server
from tests.support.wall_clocks import Clocks, WallClock

pytestmark = [pytest.mark.e2e, pytest.mark.compiler]

MINUTE, HOUR = 60, 3600
STEPS = ("one", "two", "three")
ANSWER_SECONDS = 1.5  # that the model takes for each step
AWAY_SECONDS = 3  # for which a provider says that it is away
SHORT_SECONDS = 2.5  # a limit on running time that ends within the second step
SETTINGS = {
    "HEARTBEAT_SECONDS": "0.5",
    "RECOVERY_INTERVAL_SECONDS": "1",
    "DEFER_AFTER_SECONDS": "0.3",
    "OPENAI_API_KEY": "sk-test",
}
PLAIN, AWAY, DATED, SHORT = [f"plain-{number}." for number in range(4)], "away-1.", "dated-1.", "short-1."
SLOW, SORRY = Answer(rest=ANSWER_SECONDS), {"error": {"message": "Down for a moment."}}
OFF_BY = "SELECT extract(epoch FROM started_at - clock_timestamp())::float8 FROM executions_workerheartbeat"


@dataclass
class Work:
    """Executions under way: their ids by the word in their brief, and when they were started."""

    client: httpx.Client
    model: ModelServer
    ids: dict[str, str] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)  # on the monotonic clock
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    waited: float = field(default_factory=machine_waited)
    back_at: datetime | None = None  # when the provider is there again that names a date

    @property
    def tolerance(self) -> float:
        """Seconds that times may be off: one, and those for which this machine had too little CPU."""
        return 1.0 + machine_waited() - self.waited

    def start(self, word: str, *, max_seconds: float = 600) -> None:
        """Start an execution."""
        body = {"workflow_id": "clocks", "scope_type": "project", "scope_id": word, "input": f"It is {word}"}
        self.started[word] = time.monotonic()
        response = self.client.post("/executions/", json={**body, "budget": {"max_seconds": max_seconds}})
        assert response.status_code == 201, response.text
        self.ids[word] = response.json()["execution_id"]

    def get(self, path: str) -> Any:
        """Return what the API answers."""
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def calls(self, word: str) -> list[dict[str, Any]]:
        """Return the calls of an execution, in their order."""
        costs = self.get(f"/telemetry/executions/{self.ids[word]}/costs")
        return [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]

    def has_asked(self, times: int) -> bool:
        """Return whether the model was asked so often."""
        return len(self.model.asked) >= times

    def bought(self) -> Counter[str]:
        """Return how often the model was asked, by the words of the briefs."""
        return Counter(word for body in self.model.asked for word in self.ids if word in json.dumps(body))


def publish(installed: Machine, folder: Path) -> None:
    """Publish a workflow of steps that follow one another."""
    common = {"role": "writer", "model": "openai:gpt-5", "task": "Write.", "output_schema": SCHEMA}
    steps = [
        {**common, "id": name, "name": name.title(), "produces": name, "inputs": [*STEPS[:number]][-1:]}
        for number, name in enumerate(STEPS)
    ]
    roles = {"writer": {"name": "Writer", "instructions": "You write."}}
    workflow = {"id": "clocks", "name": "C", "description": "Writes.", "roles": roles, "steps": steps}
    (folder / "clocks").mkdir(parents=True)
    (folder / "clocks" / "workflow.yaml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    installed.manage("load_catalog", "--catalog", str(folder))


@contextmanager
def working(installed: Machine, *, web: WallClock, workers: list[WallClock]) -> Iterator[Work]:
    """Provide running executions on processes with these clocks; for two executions the provider is unavailable."""
    with model_server(SLOW) as model:
        installed.environment |= {**SETTINGS, "OPENAI_BASE_URL": f"{model.url}/v1"}
        publish(installed, installed.data_dir / "catalog")
        installed.serve("--no-worker", **web.environment)
        for each in workers:
            installed.start("worker", **each.environment)
        wait_until(lambda: said(installed).count("ready ") >= len(workers) + 1, what="that all are ready")
        with installed.client() as client:
            work = Work(client, model)
            work.back_at = (work.began_at + timedelta(seconds=AWAY_SECONDS)).replace(microsecond=0)
            date = {"Retry-After": format_datetime(work.back_at, usegmt=True)}
            model.scripts = {
                AWAY: [Answer(status=503, headers={"Retry-After": str(AWAY_SECONDS)}, body=SORRY), SLOW],
                DATED: [Answer(status=503, headers=date, body=SORRY), SLOW],
            }
            for word in (AWAY, DATED, *PLAIN):
                work.start(word)
            work.start(SHORT, max_seconds=SHORT_SECONDS)
            yield work


def a_limit_on_running_time_ends_neither_early_nor_late(work: Work) -> None:
    """See an execution stop when its time is up, and complete with more of it."""
    execution = wait_for_status(work.client, work.ids[SHORT], "waiting")
    passed = time.monotonic() - work.started[SHORT]
    assert execution["waiting_on"] == ["budget"]
    assert SHORT_SECONDS <= execution["budget"]["used"]["seconds"] <= passed + work.tolerance
    assert passed >= SHORT_SECONDS
    path = f"/executions/{work.ids[SHORT]}/budget"
    assert work.client.patch(path, json={"max_seconds": 600}).status_code == 200


def everything_is_right(work: Work) -> None:
    """See all complete; hold what was bought and every time against this machine's clock, which the database has."""
    for word, execution_id in work.ids.items():
        execution = wait_for_status(work.client, execution_id, "completed", "failed")
        passed = time.monotonic() - work.started[word]
        assert execution["status"] == "completed", execution["error"]
        run_time_is_right(work, word, execution, passed)
        times_are_right(work, word)
    bought = work.bought()
    assert {word: bought[word] for word in PLAIN} == dict.fromkeys(PLAIN, len(STEPS))
    assert {word: bought[word] for word in (AWAY, DATED)} == dict.fromkeys((AWAY, DATED), len(STEPS) + 1)
    for word in (*PLAIN, AWAY, DATED):
        statuses = Counter(call["status"] for call in work.calls(word))
        assert statuses == Counter(committed=len(STEPS), failed=bought[word] - len(STEPS))


def run_time_is_right(work: Work, word: str, execution: dict[str, Any], passed: float) -> None:
    """Hold the run time against what the calls took on the clock that counts seconds, and against our own."""
    asked = sum(call["latency_ms"] or 0 for call in work.calls(word)) / 1000
    ran = execution["budget"]["used"]["seconds"]
    assert asked - work.tolerance <= ran <= passed + work.tolerance, (word, asked, ran, passed)
    lived = moment(execution["finished_at"]) - moment(execution["created_at"])
    assert ran - work.tolerance <= lived.total_seconds() <= passed + work.tolerance, (word, ran, lived, passed)


def times_are_right(work: Work, word: str) -> None:
    """Hold every time in every answer about an execution against the span in which it was."""
    at = f"/executions/{work.ids[word]}"
    costs = f"/telemetry{at}/costs"
    events = work.get(f"{at}/events?limit=200")["data"]
    answers = {
        path: work.get(path) for path in (at, f"{at}/steps", costs, f"/documents/?execution_id={work.ids[word]}")
    }
    answers |= {f"/documents/{each['id']}": work.get(f"/documents/{each['id']}") for each in documents_of(answers)}
    tolerance = timedelta(seconds=work.tolerance)
    first, last = work.began_at - tolerance, datetime.now(UTC) + tolerance
    found = [*moments({**answers, "events": events})]
    assert [(path, at) for path, at in found if not first <= at <= last] == []
    stamps = [moment(each["timestamp"]) for each in events]
    assert len(stamps) > len(STEPS)
    assert [pair for pair in pairwise(stamps) if pair[1] < pair[0] - tolerance] == []
    for call in work.calls(word):
        took = (moment(call["finished_at"]) - moment(call["started_at"])).total_seconds()
        assert took >= (call["latency_ms"] or 0) / 1000 - work.tolerance


def documents_of(answers: dict[str, Any]) -> list[dict[str, Any]]:
    [documents] = [answer["data"] for path, answer in answers.items() if path.startswith("/documents/?")]
    assert len(documents) == len(STEPS)
    return documents


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moments(found: Any, path: str = "") -> Iterator[tuple[str, datetime]]:
    """Yield each time in an answer, with where it stands."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from moments(value, f"{path}/{name}")
    elif isinstance(found, list):
        for value in found:
            yield from moments(value, path)
    elif isinstance(found, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z", found):
        yield path, moment(found)


def tries_wait_as_long_as_the_provider_asks(work: Work) -> None:
    """See that each second try came when it should: not before, and not minutes later."""
    assert work.back_at is not None
    for word, earliest in ((AWAY, work.began_at + timedelta(seconds=AWAY_SECONDS)), (DATED, work.back_at)):
        _, second, *_ = (moment(call["started_at"]) for call in work.calls(word))
        assert second >= earliest - timedelta(seconds=work.tolerance), word


def said(installed: Machine) -> str:
    """Return everything that the processes wrote."""
    return "\n".join(path.read_text() for path in installed.data_dir.glob("*.log"))


def runs_ended_by_no_mistake(installed: Machine) -> None:
    """Assert that no process was considered lost, and that all processes still run."""
    assert "abandoned" not in said(installed)
    assert [each.poll() for each in installed.processes] == [None] * len(installed.processes)


@pytest.fixture
def installed(data_dir: Path) -> Iterator[Machine]:
    """An installation whose database has this machine's clock, whichever process is started first."""
    instance.ensure_running(data_dir)
    try:
        with machine(data_dir, LOCAL="1", DATABASE_URL=instance.url(data_dir)) as made:
            yield made
    finally:
        instance.release(data_dir)


@pytest.fixture
def clocks(tmp_path: Path) -> dict[str, WallClock]:
    """The clocks of three processes."""
    made = Clocks(tmp_path)
    return {name: made.make() for name in ("web", "first", "second")}


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_worker_announces_itself_by_the_databases_clock(
    installed: Machine, clocks: dict[str, WallClock], seconds: int
) -> None:
    clocks["first"].set(seconds)
    with psycopg.connect(instance.url(installed.data_dir), autocommit=True) as connection:
        installed.start("worker", **clocks["first"].environment)
        [off_by] = wait_until(lambda: connection.execute(OFF_BY).fetchone(), what="that the worker announces itself")
    assert abs(off_by) < HOUR / 2


def test_processes_whose_clocks_are_minutes_off_buy_nothing_twice_and_tell_the_right_time(
    installed: Machine, clocks: dict[str, WallClock]
) -> None:
    clocks["web"].set(-3 * MINUTE)
    clocks["first"].set(10 * MINUTE)
    clocks["second"].set(-10 * MINUTE)
    with working(installed, web=clocks["web"], workers=[clocks["first"], clocks["second"]]) as work:
        a_limit_on_running_time_ends_neither_early_nor_late(work)
        everything_is_right(work)
        tries_wait_as_long_as_the_provider_asks(work)
    runs_ended_by_no_mistake(installed)
    for wrong in (r"1(79|80)\.\d seconds behind", r"(599|600)\.\d seconds ahead of", r"(599|600)\.\d seconds behind"):
        assert re.search(f"this machine's clock is {wrong} the database's", said(installed)), wrong


def test_clocks_that_are_set_by_an_hour_both_ways_while_executions_run_change_nothing(
    installed: Machine, clocks: dict[str, WallClock]
) -> None:
    with working(installed, web=clocks["web"], workers=[clocks["first"], clocks["second"]]) as work:
        for asked, ways in ((9, (HOUR, HOUR, -HOUR)), (16, (-HOUR, -HOUR, HOUR))):
            wait_until(partial(work.has_asked, asked), what=f"that {asked} calls are made")
            for clock, seconds in zip(clocks.values(), ways, strict=True):
                clock.set(seconds)
        a_limit_on_running_time_ends_neither_early_nor_late(work)
        everything_is_right(work)
        tries_wait_as_long_as_the_provider_asks(work)
    runs_ended_by_no_mistake(installed)
