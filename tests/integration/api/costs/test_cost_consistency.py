"""All readings of a cost agree to the last digit; an unknown cost is unknown everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

GROUPS = ("day", "model", "workflow", "step", "scope", "user")
TOKENS = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens", "reasoning_tokens")
FIGURES = (*TOKENS, "total_tokens", "calls", "known_cost_usd", "unpriced_calls")


def figures(sums: dict[str, Any]) -> dict[str, Decimal]:
    """Return what can be added up."""
    return {name: Decimal(sums[name]) for name in FIGURES}


def added(parts: Iterable[dict[str, Any]]) -> dict[str, Decimal]:
    """Return the sum of sums."""
    rows = [figures(each) for each in parts]
    return {name: sum((row[name] for row in rows), Decimal(0)) for name in FIGURES}


def flags(sums: dict[str, Any]) -> tuple[bool, bool, bool]:
    """Return whether it says that the whole is known: by the cost, by the flag and by the count."""
    return sums["cost_usd"] is not None, sums["cost_complete"], sums["unpriced_calls"] == 0


def views(ada: Caller, execution_id: str) -> list[dict[str, Any]]:
    """Return every sum over an execution that there is."""
    costs = ada.get(f"/telemetry/executions/{execution_id}/costs").json()
    details = ada.get(f"/executions/{execution_id}").json()
    [listed] = [each for each in ada.get("/executions/").json()["data"] if each["execution_id"] == execution_id]
    events = ada.get(f"/executions/{execution_id}/events", {"types": "complete"}).json()["data"]
    last: dict[str, Any] = events[-1]["data"]["totals"]
    told = {**last, **last["usage"]} if "usage" in last else last
    for seen in (details, listed):
        seen.update(seen["usage"])
    calls = [call for step in costs["steps"] for attempt in step["attempts"] for call in attempt["calls"]]
    assert sum(Decimal(call["cost_usd"] or 0) for call in calls) == Decimal(costs["total"]["known_cost_usd"])
    for step in costs["steps"]:
        mine = [call for attempt in step["attempts"] for call in attempt["calls"]]
        assert sum(Decimal(call["cost_usd"] or 0) for call in mine) == Decimal(step["known_cost_usd"])
        assert flags(step)[0] is all(call["cost_usd"] is not None for call in mine)
    assert added(costs["steps"]) == figures(costs["total"])
    return [costs["total"], details, listed, told]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.torture) for seed in (1, 2))])
def test_costs_agree_wherever_they_are_read(ada: Caller, report: int, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - it has to be repeatable
    costs = [f"{random.randrange(10**4)}.{random.randrange(10**10):010}" for _ in range(8)] + ["0.0000000001", "0"]
    wholes = []
    for number, cost in enumerate(costs):
        execution = reports.finish(reports.start(ada.user, key=f"p{number}"), cost=cost)
        first, *others = views(ada, str(execution.id))
        assert Decimal(first["known_cost_usd"]) == 2 * Decimal(cost)
        assert flags(first) == (True, True, True)
        for other in others:
            assert figures({**first, **other}) == figures(first)
            assert flags({**first, **other}) == flags(first)
        wholes.append(first)
    summary = ada.get("/telemetry/summary", {"group_by": ",".join(GROUPS)}).json()
    assert figures(summary["totals"]) == added(wholes)
    assert summary["totals"]["cost_usd"] == f"{2 * sum(map(Decimal, costs)):.10f}"
    for name in GROUPS:
        assert added(summary["groups"][name]) == added(wholes), name


def test_what_is_not_known_is_so_everywhere_with_the_known_part_beside_it(ada: Caller, report: int) -> None:
    known = reports.finish_step(reports.claim(reports.start(ada.user)), "research", cost="0.0123456789")
    execution = reports.finish_step(known, "summary", cost=None)
    seen = views(ada, str(execution.id))
    summary = ada.get("/telemetry/summary", {"group_by": ",".join(GROUPS)}).json()
    sums = [*seen, summary["totals"], *(summary["groups"][name][0] for name in ("day", "workflow", "scope", "user"))]
    for each in sums:
        assert flags(each) == (False, False, False)
        assert (each["known_cost_usd"], each["unpriced_calls"]) == ("0.0123456789", 1)
    steps = {each["step_id"]: each for each in summary["groups"]["step"]}
    assert flags(steps["research"]) == (True, True, True)
    assert flags(steps["summary"]) == (False, False, False)
