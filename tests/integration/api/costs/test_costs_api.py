"""Costs of executions and statistics of workflows over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from executions.engine.domain.states import CallStatus
from executions.engine.transitions.core import Change
from executions.models import Execution
from executions.selectors import costs
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
)


@pytest.mark.parametrize("slash", ["", "/"])
def test_costs_add_up_from_calls_to_steps_to_the_whole(ada: Caller, report: int, slash: str) -> None:
    execution = reports.finish(reports.start(ada.user), cost="0.0123456789")
    response = ada.get(f"/telemetry/executions/{execution.id}/costs{slash}")
    assert response.status_code == 200, response.content
    costs = response.json()
    assert (costs["execution_id"], costs["status"]) == (str(execution.id), "completed")
    assert [step["step_id"] for step in costs["steps"]] == ["research", "summary"]
    for step in costs["steps"]:
        calls = [call for attempt in step["attempts"] for call in attempt["calls"]]
        assert step["calls"] == len(calls) == 1
        for name in TOKENS:
            assert step[name] == sum(call[name] for call in calls)
        assert Decimal(step["cost_usd"]) == sum(Decimal(call["cost_usd"]) for call in calls)
    total = costs["total"]
    for name in ("calls", *TOKENS):
        assert total[name] == sum(step[name] for step in costs["steps"]) > -1
    assert total["cost_usd"] == "0.0246913578"
    assert total["total_tokens"] == 320
    assert (total["cost_complete"], total["cost_final"]) == (True, True)
    details = ada.get(f"/executions/{execution.id}").json()
    assert details["cost_usd"] == total["cost_usd"]
    assert details["usage"]["total_tokens"] == total["total_tokens"]


def test_costs_show_each_attempt_with_its_calls(ada: Caller, report: int) -> None:
    execution = reports.repair(reports.start(ada.user))
    costs = ada.get(f"/telemetry/executions/{execution.id}/costs").json()
    research, summary = costs["steps"]
    assert [(each["attempt"], [call["kind"] for call in each["calls"]]) for each in research["attempts"]] == [
        (1, ["generate"]),
        (2, ["remediate"]),
    ]
    first, second = (each["calls"][0] for each in research["attempts"])
    assert (first["provider"], first["model"], first["requested_model"]) == ("scripted", "writer-1", "scripted:writer")
    assert (first["status"], first["latency_ms"], first["cost_usd"]) == ("committed", 250, "0.0012000000")
    assert (second["status"], second["cost_usd"], second["finished_at"]) == ("pending", None, None)
    assert (costs["total"]["cost_usd"], costs["total"]["known_cost_usd"]) == (None, "0.0012000000")
    assert (costs["total"]["cost_complete"], costs["total"]["cost_final"]) == (False, False)
    assert (summary["calls"], summary["attempts"], summary["cost_usd"]) == (0, [], "0.0000000000")


def test_what_a_cut_off_call_may_have_cost_stands_beside_what_is_known(ada: Caller, report: int) -> None:
    execution, call = reports.begin(reports.claim(reports.start(ada.user)))
    lost = replace(call, status=CallStatus.UNKNOWN, estimated_cost_usd=Decimal("0.5"), error="It was cut off.")
    again = replace(call, key=replace(call.key, ordinal=2), estimated_cost_usd=Decimal("0.25"))
    reports.move(execution, lambda now, context: Change(execution=now), calls=(lost, again))
    costs = ada.get(f"/telemetry/executions/{execution.id}/costs").json()
    [attempt] = costs["steps"][0]["attempts"]
    assert [(each["status"], each["cost_usd"], each["estimated_cost_usd"]) for each in attempt["calls"]] == [
        ("unknown", None, "0.5000000000"),
        ("pending", None, "0.2500000000"),
    ]
    assert costs["estimated_unknown_cost_usd"] == "0.5000000000"  # the one under way has not ended
    assert (costs["total"]["cost_usd"], costs["total"]["known_cost_usd"]) == (None, "0.0000000000")
    reports.cancel(ada.user, execution.id)
    costs = ada.get(f"/telemetry/executions/{execution.id}/costs").json()
    assert costs["estimated_unknown_cost_usd"] == "0.7500000000"
    late = replace(reports.answered(again), status=CallStatus.DISCARDED, estimated_cost_usd=None)
    reports.move(execution, lambda now, context: Change(execution=now), calls=(late,))
    costs = ada.get(f"/telemetry/executions/{execution.id}/costs").json()
    assert costs["estimated_unknown_cost_usd"] == "0.5000000000"  # its late reply says what it cost
    assert costs["total"]["known_cost_usd"] == "0.0012000000"


def test_a_cut_off_call_without_a_price_makes_the_estimate_unknown(ada: Caller, report: int) -> None:
    execution, _ = reports.begin(reports.claim(reports.start(ada.user)))
    reports.cancel(ada.user, execution.id)
    assert ada.get(f"/telemetry/executions/{execution.id}/costs").json()["estimated_unknown_cost_usd"] is None


def test_nothing_is_estimated_where_everything_is_known(ada: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    costs = ada.get(f"/telemetry/executions/{execution.id}/costs").json()
    assert costs["estimated_unknown_cost_usd"] == "0.0000000000"
    calls = [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]
    assert {call["estimated_cost_usd"] for call in calls} == {None}


def test_statistics_of_a_workflow_without_executions_have_no_rates(ada: Caller, report: int) -> None:
    stats = ada.get("/telemetry/workflows/report/stats").json()
    assert (stats["workflow_id"], stats["executions"], set(stats["by_status"].values())) == ("report", 0, {0})
    assert (stats["success_rate"], stats["remediation_rate"]) == (None, None)
    for name in ("duration_seconds", "waiting_seconds", "running_seconds", "cost_usd"):
        assert stats[name] == {"p50": None, "p95": None}
    assert stats["totals"]["calls"] == 0


@pytest.mark.parametrize("slash", ["", "/"])
def test_stats_count_outcomes_repairs_and_costs(ada: Caller, report: int, slash: str) -> None:
    reports.finish(reports.start(ada.user, key="a"), cost="0.01")
    reports.finish(reports.start(ada.user, key="b"), cost="0.03")
    reports.finish(reports.start(ada.user, key="c"), cost=None)
    reports.fail(reports.start(ada.user, key="d"))
    reports.repair(reports.start(ada.user, key="e"))
    reports.cancel(ada.user, reports.start(ada.user, key="f").id)
    stats = ada.get(f"/telemetry/workflows/report/stats{slash}").json()
    assert stats["executions"] == 6
    assert stats["by_status"] == {
        "pending": 0,
        "running": 1,
        "waiting": 0,
        "completed": 3,
        "failed": 1,
        "cancelled": 1,
    }
    assert stats["success_rate"] == 0.75
    assert stats["remediation_rate"] == 1 / 8
    assert stats["cost_usd"] == {"p50": "0.0200000000", "p95": "0.0600000000"}
    assert stats["totals"]["calls"] == 9
    assert (stats["totals"]["cost_usd"], stats["totals"]["known_cost_usd"]) == (None, "0.0824000000")


def test_waiting_time_stands_apart_from_running_time(ada: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    row = Execution.objects.get(id=execution.id)
    start = row.created_at
    Execution.objects.filter(id=row.id).update(
        started_at=start + timedelta(seconds=2), finished_at=start + timedelta(seconds=100), ran_seconds=63.0
    )
    stats = ada.get("/telemetry/workflows/report/stats").json()
    assert stats["duration_seconds"] == {"p50": 100.0, "p95": 100.0}
    assert stats["waiting_seconds"] == {"p50": 35.0, "p95": 35.0}
    assert stats["running_seconds"] == {"p50": 63.0, "p95": 63.0}


def test_stats_count_what_the_caller_may_see(ada: Caller, eve: Caller, report: int) -> None:
    reports.finish(reports.start(ada.user))
    stats = eve.get("/telemetry/workflows/report/stats").json()
    assert (stats["executions"], stats["totals"]["calls"], stats["cost_usd"]["p50"]) == (0, 0, None)
    assert ada.get("/telemetry/workflows/report/stats").json()["executions"] == 1


def test_percentiles_are_those_of_the_newest_executions(
    ada: Caller, report: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cost, seconds in (("0.9", 900), ("0.01", 10), ("0.03", 30)):
        execution = reports.finish(reports.start(ada.user, key=cost), cost=cost)
        created = Execution.objects.get(id=execution.id).created_at
        Execution.objects.filter(id=execution.id).update(finished_at=created + timedelta(seconds=seconds))
    before = ada.get("/telemetry/workflows/report/stats").json()
    assert (before["cost_usd"]["p95"], before["duration_seconds"]["p95"]) == ("1.8000000000", 900.0)
    monkeypatch.setattr(costs, "PERCENTILE_EXECUTIONS", 2)
    stats = ada.get("/telemetry/workflows/report/stats").json()
    assert stats["cost_usd"] == {"p50": "0.0200000000", "p95": "0.0600000000"}
    assert stats["duration_seconds"] == {"p50": 10.0, "p95": 30.0}
    assert {**stats, "cost_usd": 0, "duration_seconds": 0} == {
        **before,
        "cost_usd": 0,
        "duration_seconds": 0,
        "running_seconds": stats["running_seconds"],
        "waiting_seconds": stats["waiting_seconds"],
    }


def test_stats_of_a_workflow_that_does_not_exist_are_not_found(ada: Caller) -> None:
    assert ada.get("/telemetry/workflows/no-such-workflow/stats").status_code == 404
