"""Keeps executions going over HTTP while it kills what runs them, and looks at what is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from orchestrator import postgres
from tests.chaos.model_server import CountingModel
from tests.journeys.processes import Machine, free_port, wait_until
from tests.waiting import HANG_SECONDS

SETTINGS = {
    "RUNNER_SILENT_SECONDS": "3",
    "SWEEP_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.5",
    "MAX_RECOVERIES": "100",  # whoever meets this many kills in a row here was only unlucky
    "WORKER_CONCURRENCY": "60",
    "LOG_LEVEL": "WARNING",
    "OPENAI_API_KEY": "sk-chaos",
    "MODEL_FAST": "openai:gpt-5",
    "MODEL_STANDARD": "openai:gpt-5",
    "MODEL_STRONG": "openai:gpt-5",
}
ENDED = {"completed", "failed", "cancelled"}
SLEEPS_SECONDS = 5.0  # of a stopped worker: longer than it takes to be counted as dead


@dataclass
class Chaos:
    """One run. The seed decides what is killed, and in what order."""

    data_dir: Path
    model: CountingModel
    seed: int
    at_once: int
    workers_live: bool = False  # kill and stop everything but the workers: then nothing at all may be bought twice
    say: Callable[[str], None] = print
    kills: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)  # execution id by mark
    open: set[str] = field(default_factory=set)  # of those, the ones not seen to have ended

    def __post_init__(self) -> None:
        """Prepare the machine."""
        self._chance = random.Random(self.seed)  # noqa: S311 - it has to be repeatable
        self._began = time.monotonic()
        self._starts = 0
        settings = {**SETTINGS, "OPENAI_BASE_URL": f"{self.model.url}/v1"}
        if self.workers_live:
            settings["RUNNER_SILENT_SECONDS"] = "30"  # nobody has to be missed soon, and a busy machine is no death
        self._machine = Machine(self.data_dir, environment=settings)
        self._ports = [self._machine.port, free_port()]
        self._http = httpx.Client(timeout=10)
        self._web: list[subprocess.Popen[bytes]] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self._asleep: list[tuple[float, subprocess.Popen[bytes]]] = []

    # --- the run --------------------------------------------------------------------------------------------------

    def run(
        self,
        seconds: float,
        *,
        kills: int = 0,
        executions: int = 0,
        kills_every: tuple[float, float] = (1.0, 4.0),
        patience: float = HANG_SECONDS,
    ) -> None:
        """Kill for so many seconds, and until there were so many kills and executions; let all end, and check it."""
        try:
            self._start()
            end = time.monotonic() + seconds
            next_kill = time.monotonic() + 2.0
            while time.monotonic() < end or self.kills.total() < kills or len(self.accepted) < executions:
                assert time.monotonic() < end + patience, "too little happened"
                self._keep_going()
                if time.monotonic() >= next_kill:
                    self._kill()
                    next_kill = time.monotonic() + self._chance.uniform(*kills_every)
                time.sleep(0.2)
            self._let_end(patience)
            self._check()
        finally:
            self._wake(all_of_them=True)
            self._http.close()
            self._machine.stop()

    def _start(self) -> None:
        self._web = [self._machine.serve("--no-worker")]
        self._http.headers["Authorization"] = f"Bearer {self._machine.token('chaos')}"
        self._web.append(self._machine.start("serve", "--no-worker", PORT=str(self._ports[1])))
        self._workers = [self._machine.start("worker"), self._machine.start("worker")]

    def _keep_going(self) -> None:
        """Do what users and an operator do: restart what is dead, start executions, answer questions."""
        self._wake()
        for number, process in enumerate(self._web):
            if process.poll() is not None:
                self._web[number] = self._machine.start("serve", "--no-worker", PORT=str(self._ports[number]))
        for number, process in enumerate(self._workers):
            if process.poll() is not None:
                self._workers[number] = self._machine.start("worker")
        self._look()
        for _ in range(min(5, self.at_once - len(self.open))):
            self._start_one()

    def _start_one(self) -> None:
        self._starts += 1
        mark = f"MARK-{self._starts}"
        workflow = self._chance.choice(["strategy-document", "vendor-assessment", "meeting-minutes"])
        brief = f"{mark}. The city lends 400 tools from 3 branches. Ms Ode decides on the budget of 20,000 EUR."
        body = {"workflow_id": workflow, "scope_type": "project", "scope_id": mark.lower(), "input": brief}
        answer = self._ask("POST", "/executions/", json=body)
        if answer is not None and answer.status_code == 201:
            self.accepted[mark] = answer.json()["execution_id"]
            self.open.add(mark)

    def _look(self) -> None:
        """See which executions have ended, and answer those that wait."""
        running = self._listed(status=["pending", "running"])
        waiting = self._listed(status=["waiting"])
        if running is None or waiting is None:
            return
        alive = {each["execution_id"] for each in (*running, *waiting)}
        for mark in [mark for mark in self.open if self.accepted[mark] not in alive]:
            details = self._ask("GET", f"/executions/{self.accepted[mark]}")
            if details is not None and details.status_code == 200 and details.json()["status"] in ENDED:
                self.open.discard(mark)
        for each in waiting:
            self._answer(each["execution_id"])

    def _answer(self, execution_id: str) -> None:
        steps = self._ask("GET", f"/executions/{execution_id}/steps")
        for step in steps.json()["data"] if steps is not None and steps.status_code == 200 else ():
            asked = step["clarification"]
            if step["status"] == "waiting" and asked:
                answers = {question["id"]: "Twelve" for question in asked["questions"]}
                path = f"/executions/{execution_id}/steps/{step['step_id']}/clarification"
                self._ask("POST", path, json={"answers": answers})

    def _listed(self, **filters: Any) -> list[dict[str, Any]] | None:
        answer = self._ask("GET", "/executions/", params={**filters, "limit": 200})
        return answer.json()["data"] if answer is not None and answer.status_code == 200 else None

    def _ask(self, method: str, path: str, **parts: Any) -> httpx.Response | None:
        """Return what one of the web processes says, None when it says nothing."""
        url = f"http://127.0.0.1:{self._chance.choice(self._ports)}/api/v1{path}"
        try:
            return self._http.request(method, url, **parts)
        except httpx.TransportError:
            return None

    # --- killing --------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        ways = {
            "worker killed": (self._kill_worker, 4),
            "worker asleep": (self._put_to_sleep, 2),
            "web killed": (self._kill_web, 2),
            "PostgreSQL killed": (lambda: self._signal_postgres(signal.SIGKILL), 2),
            "PostgreSQL shut down at once": (lambda: self._signal_postgres(signal.SIGQUIT), 2),
            "connections dropped": (self._drop_connections, 3),
        }
        if self.workers_live:
            ways = {name: way for name, way in ways.items() if not name.startswith("worker")}
        way = self._chance.choices(list(ways), [weight for _, weight in ways.values()])[0]
        if ways[way][0]():
            self.kills[way] += 1
            self.say(f"{time.monotonic() - self._began:6.1f} s  {way} ({len(self.open)} executions are open)")

    def _kill_worker(self) -> bool:
        return self._end(self._awake())

    def _kill_web(self) -> bool:
        return self._end(self._web)

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> bool:
        alive = [process for process in processes if process.poll() is None]
        if not alive:
            return False
        process = self._chance.choice(alive)
        process.kill()
        process.wait()
        return True

    def _awake(self) -> list[subprocess.Popen[bytes]]:
        asleep = {process.pid for _, process in self._asleep}
        return [process for process in self._workers if process.poll() is None and process.pid not in asleep]

    def _put_to_sleep(self) -> bool:
        if not (awake := self._awake()):
            return False
        process = self._chance.choice(awake)
        process.send_signal(signal.SIGSTOP)
        self._asleep.append((time.monotonic() + SLEEPS_SECONDS, process))
        return True

    def _wake(self, *, all_of_them: bool = False) -> None:
        for until, process in list(self._asleep):
            if all_of_them or time.monotonic() >= until:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                self._asleep.remove((until, process))

    def _signal_postgres(self, number: int) -> bool:
        note = postgres.home_of(self.data_dir) / "data" / "postmaster.pid"
        try:
            pid = int(note.read_text().splitlines()[0])
            os.kill(pid, number)
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            return False  # it is being started again
        return True

    def _drop_connections(self) -> bool:
        try:
            with psycopg.connect(postgres.url(self.data_dir), connect_timeout=2) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
        except psycopg.OperationalError:
            return False
        return True

    # --- what is left ---------------------------------------------------------------------------------------------

    def _let_end(self, seconds: float) -> None:
        self.say(f"no more kills; {len(self.open)} of {len(self.accepted)} executions are still open")

        def over() -> bool:
            self._wake()
            self.at_once = 0
            self._keep_going()
            return not self.open

        wait_until(over, seconds=seconds, what=f"the end of all executions\n{self._machine.logs()}")

    def _check(self) -> None:
        self.say("all executions have ended; looking at each")
        faults: list[str] = []
        tries: Counter[str] = Counter()
        for mark, execution_id in self.accepted.items():
            faults += [f"{mark} {execution_id}: {fault}" for fault in self._faults(mark, execution_id, tries)]
        self.say(f"kills survived: {sum(self.kills.values())} ({dict(self.kills)})")
        twice = sum(count - 1 for count in self.model.bought.values())
        self.say(f"executions accepted and completed: {len(self.accepted)}; calls bought: {self.model.bought.total()}")
        self.say(f"bought again after a kill in mid-call: {twice}; in the ledger: {dict(tries)}")
        if twice and self.workers_live:
            faults.append(f"{twice} calls were bought twice, and no worker was killed")
        assert not faults, "\n".join(faults)

    def _faults(self, mark: str, execution_id: str, tries: Counter[str]) -> list[str]:
        details = self._get(f"/executions/{execution_id}")
        if details["status"] != "completed":
            return [f"it is {details['status']}: {details['error']}"]
        events = self._get_all(f"/executions/{execution_id}/events")
        documents = self._get_all("/documents/", execution_id=execution_id)
        steps = self._get_all(f"/executions/{execution_id}/steps")
        costs = self._get(f"/telemetry/executions/{execution_id}/costs")
        faults = []
        if [event["sequence"] for event in events] != list(range(1, len(events) + 1)):
            faults.append("its log has a gap")
        if [event["event_type"] for event in events].count("complete") != 1:
            faults.append("it did not end once")
        if [document["version"] for document in documents] != [1] * len(steps):
            faults.append("a document is missing or doubled")
        calls = [call for step in costs["steps"] for attempt in step["attempts"] for call in attempt["calls"]]
        statuses = Counter(call["status"] for call in calls)
        tries.update(statuses)
        again = sum(count - 1 for (marked, _, _), count in self.model.bought.items() if marked == mark)
        lost = statuses["unknown"] + statuses["discarded"] + statuses["failed"]
        if again > lost:
            faults.append(f"{again} calls were bought again, and the ledger knows of {lost} that were lost")
        if statuses["pending"] or statuses["committed"] != sum(len(step["attempts"]) for step in costs["steps"]):
            faults.append(f"its ledger says {dict(statuses)}")
        if sum(call["total_tokens"] for call in calls) != costs["total"]["total_tokens"]:
            faults.append("its costs do not add up")
        return faults

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self._ask("GET", path, params=parameters)
        assert answer is not None, path
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _get_all(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        return list(self._get(path, limit=200, **parameters)["data"])
