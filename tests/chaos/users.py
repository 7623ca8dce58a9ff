"""Users of a chaos run: they start executions over HTTP, follow their streams, and answer questions."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx

ENDED = {"completed", "failed", "cancelled"}
BRIEF = "{}. The city lends 400 tools from 3 branches. Ms Ode decides on the budget of 20,000 EUR."
WORKFLOWS = ("strategy-document", "vendor-assessment", "meeting-minutes")
STARTS_AT_ONCE = 5
PAUSE_SECONDS = 0.2  # between two rounds


class Users:
    """Keep so many executions going, in a thread of their own. What is refused, or not answered, is sent again.

    Attributes:
        accepted: Execution id by mark, of each start that was answered with 201.
        open: Of those, the marks of the ones that were not seen to have ended.
        at_once: How many executions are kept going.
    """

    def __init__(self, ports: Sequence[int], token: str, chance: random.Random, at_once: int) -> None:
        """Prepare to send requests to the web processes at these ports."""
        self.accepted: dict[str, str] = {}
        self.open: set[str] = set()
        self.at_once = at_once
        self._unanswered: dict[str, dict[str, str]] = {}  # starts by mark, sent once or more without a 201
        self._ports, self._chance = ports, chance
        self._http = httpx.Client(timeout=10, headers={"Authorization": f"Bearer {token}"})

    @property
    def are_done(self) -> bool:
        """Return whether every start was answered, and every execution has ended."""
        return not self.open and not self._unanswered

    def work(self, stop: threading.Event) -> None:
        """Go on until `stop` is set."""
        while not stop.is_set():
            self._look()
            self._start_some()
            time.sleep(PAUSE_SECONDS)

    def ask(self, method: str, path: str, **parts: Any) -> httpx.Response | None:
        """Return what one of the web processes says, None when it says nothing."""
        url = f"http://127.0.0.1:{self._chance.choice(self._ports)}/api/v1{path}"
        try:
            return self._http.request(method, url, **parts)
        except httpx.TransportError:
            return None

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _start_some(self) -> None:
        for mark, body in list(self._unanswered.items()):
            self._send(mark, body)
        for _ in range(min(STARTS_AT_ONCE, self.at_once - len(self.open) - len(self._unanswered))):
            mark = f"MARK-{len(self.accepted) + len(self._unanswered) + 1}"
            what = {"workflow_id": self._chance.choice(WORKFLOWS), "input": BRIEF.format(mark)}
            self._send(mark, {**what, "scope_type": "project", "scope_id": mark.lower()})

    def _send(self, mark: str, body: dict[str, str]) -> None:
        """Send a start. Its key says that a second try is the same start."""
        self._unanswered[mark] = body
        answer = self.ask("POST", "/executions/", json=body, headers={"Idempotency-Key": mark})
        if answer is not None and answer.status_code == httpx.codes.CREATED:
            self.accepted[mark] = answer.json()["execution_id"]
            self.open.add(mark)
            del self._unanswered[mark]

    def _look(self) -> None:
        """See which executions have ended, and answer those that wait."""
        running = self._listed(status=["pending", "running"])
        waiting = self._listed(status=["waiting"])
        if running is None or waiting is None:
            return
        alive = {each["execution_id"] for each in (*running, *waiting)}
        for mark in [mark for mark in self.open if self.accepted[mark] not in alive]:
            details = self.ask("GET", f"/executions/{self.accepted[mark]}")
            if details is not None and details.status_code == httpx.codes.OK and details.json()["status"] in ENDED:
                self.open.discard(mark)
        for each in waiting:
            self._answer(each["execution_id"])

    def _answer(self, execution_id: str) -> None:
        steps = self.ask("GET", f"/executions/{execution_id}/steps")
        for step in steps.json()["data"] if steps is not None and steps.status_code == httpx.codes.OK else ():
            asked = step["clarification"]
            if step["status"] == "waiting" and asked:
                answers = {question["id"]: "Twelve" for question in asked["questions"]}
                path = f"/executions/{execution_id}/steps/{step['step_id']}/clarification"
                self.ask("POST", path, json={"answers": answers})

    def _listed(self, **filters: Any) -> list[dict[str, Any]] | None:
        answer = self.ask("GET", "/executions/", params={**filters, "limit": 200})
        return answer.json()["data"] if answer is not None and answer.status_code == httpx.codes.OK else None
