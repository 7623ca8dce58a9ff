"""Checks after a chaos run: every execution, its log, documents and ledger, and the repeated calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import httpx

from tests.chaos.faults import CLOCK, WORKER_ASLEEP, Blow
from tests.chaos.model_server import Call, CountingModel
from tests.e2e.processes import wait_until

#: How long the effects of a blow last, and how long it takes to store a reply: on a busy machine, too.
EFFECT_SECONDS = 10.0

Ask = Callable[..., httpx.Response | None]


def cause(earlier: Call, later: Call, blows: Sequence[Blow]) -> Blow | None:
    """Return a blow that may have had a call made again; None: none did.

    That is one on the worker that made the earlier call, or on the database, while the call was in flight. A call is in
    flight until its reply can have been stored. A worker that slept may also make a call that another has made.
    """
    until = _stored(earlier, blows)
    found = [blow for blow in blows if blow.name != CLOCK and _explains(blow, earlier, later, until)]
    # The likeliest first: one on the worker, and one in mid-call.
    return min(found, key=lambda blow: (not blow.target, not _overlaps(blow, earlier)), default=None)


def _explains(blow: Blow, earlier: Call, later: Call, until: float) -> bool:
    over = blow.ended + EFFECT_SECONDS
    if blow.target in ("", earlier.asked_by):
        return blow.began <= until and earlier.began <= over
    return blow.name == WORKER_ASLEEP and blow.target == later.asked_by and blow.began <= later.began <= over


def _overlaps(blow: Blow, call: Call) -> bool:
    return blow.began <= call.ended and call.began <= blow.ended


def _stored(call: Call, blows: Sequence[Blow]) -> float:
    """Return by when the reply can have been stored: not while the database was away."""
    until = call.ended + EFFECT_SECONDS
    for blow in sorted(blows, key=lambda each: each.began):
        if not blow.target and call.began <= blow.began <= until:
            until = max(until, blow.ended + EFFECT_SECONDS)
    return until


class Findings:
    """Looks at what is left, over HTTP and in what the model server has counted."""

    def __init__(self, ask: Ask, model: CountingModel, blows: Sequence[Blow]) -> None:
        """Prepare to look."""
        self._ask, self._model, self._blows = ask, model, blows
        self.tries: Counter[str] = Counter()  # calls on the ledger, by status
        self.again: list[tuple[Call, Call, Blow | None]] = []  # a call that was made again, and a blow that explains it

    def faults(self, accepted: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the executions, which are given by their marks."""
        stored = {each["execution_id"] for each in self._get_all("/executions/")}
        found = [f"{each}: it was started by no request" for each in stored - set(accepted.values())]
        for mark, execution_id in accepted.items():
            faults = self._faults_of(mark, execution_id) if execution_id in stored else ["it is lost"]
            found += [f"{mark} {execution_id}: {fault}" for fault in faults]
        return found

    def look_for_causes(self) -> list[str]:
        """Find a blow for each call that was made again, and return those for which there is none."""
        found = []
        for (mark, document, _), calls in self._model.calls.items():
            for earlier, later in pairwise(calls):
                blow = cause(earlier, later, self._blows)
                self.again.append((earlier, later, blow))
                if blow is None:
                    found.append(f"{mark}, {document}: {later} was made again after {earlier}, and no blow was near")
        return found

    def _faults_of(self, mark: str, execution_id: str) -> list[str]:
        details = self._get(f"/executions/{execution_id}")
        if details["status"] != "completed":
            return [f"it is {details['status']}: {details['error']}"]
        events = self._get_all(f"/executions/{execution_id}/events")
        documents = self._get_all("/documents/", execution_id=execution_id)
        steps = self._get_all(f"/executions/{execution_id}/steps")
        faults = []
        if [event["sequence"] for event in events] != list(range(1, len(events) + 1)):
            faults.append("its log has a gap")
        if [event["event_type"] for event in events].count("complete") != 1:
            faults.append("it did not end once")
        if [document["version"] for document in documents] != [1] * len(steps):
            faults.append("a document is missing or doubled")
        return [*faults, *self._faults_of_calls(mark, self._get(f"/telemetry/executions/{execution_id}/costs"))]

    def _faults_of_calls(self, mark: str, costs: dict[str, Any]) -> list[str]:
        calls = [call for step in costs["steps"] for attempt in step["attempts"] for call in attempt["calls"]]
        statuses = Counter(call["status"] for call in calls)
        self.tries.update(statuses)
        again = sum(count - 1 for (marked, _, _), count in self._model.bought.items() if marked == mark)
        lost = statuses["unknown"] + statuses["discarded"] + statuses["failed"]
        faults = []
        if again > lost:
            faults.append(f"{again} calls were bought again, and the ledger knows of {lost} that were lost")
        if statuses["pending"] or statuses["committed"] != sum(len(step["attempts"]) for step in costs["steps"]):
            faults.append(f"its ledger says {dict(statuses)}")
        if sum(call["total_tokens"] for call in calls) != costs["total"]["total_tokens"]:
            faults.append("its costs do not add up")
        return faults

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        def answer() -> httpx.Response | None:
            said = self._ask("GET", path, params=parameters)
            return None if said is None or said.status_code == httpx.codes.SERVICE_UNAVAILABLE else said

        got: httpx.Response = wait_until(answer, what=f"an answer to {path}")
        assert got.status_code == httpx.codes.OK, got.text
        found: dict[str, Any] = got.json()
        return found

    def _get_all(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        page = self._get(path, limit=200, **parameters)
        rows = list(page["data"])
        while page.get("next_cursor"):
            page = self._get(path, limit=200, cursor=page["next_cursor"], **parameters)
            rows += page["data"]
        return rows
