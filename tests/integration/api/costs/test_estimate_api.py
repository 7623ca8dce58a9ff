"""Estimates over HTTP: no execution starts, and no row is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from executions.composition import build_ports
from executions.llm.client import model_client
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, pointers
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db
PATH = "/workflows/report/estimate"


@pytest.fixture
def _priced() -> Any:
    with override_settings(MODEL_ALIASES={"standard": "openai:gpt-5", "fast": "openai:gpt-5", "strong": "no:price"}):
        model_client.cache_clear()
        build_ports.cache_clear()
        yield
    model_client.cache_clear()
    build_ports.cache_clear()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_rehearsal_is_estimated_to_cost_nothing(ada: Caller, report: int, slash: str) -> None:
    before = counts()
    response = ada.post(PATH + slash, {"input": "# Tool library\n\nThe city lends tools."})
    assert response.status_code == 200, response.content
    found = response.json()
    assert (found["workflow_id"], found["workflow_version"], found["based_on_executions"]) == ("report", 1, 0)
    assert found["cost_usd"] == dict.fromkeys(("low", "likely", "high"), "0.0000000000")
    assert [step["step_id"] for step in found["steps"]] == ["research", "summary"]
    assert found["calls"]["low"] == 2
    assert found["cost_complete"] is True
    for name in ("calls", "input_tokens", "output_tokens"):
        assert 0 < found[name]["low"] <= found[name]["likely"] <= found[name]["high"]
    assert counts() == before
    assert not ModelCall.objects.exists()


@pytest.mark.usefixtures("_priced")
def test_earlier_executions_make_it_a_better_one(ada: Caller, eve: Caller, report: int) -> None:
    brief = {"input": "# Tool library\n\nThe city lends tools."}
    first = ada.post(PATH, brief).json()
    for number in range(3):
        reports.finish(reports.start(ada.user, key=f"p{number}"))
    better, other = ada.post(PATH, brief).json(), eve.post(PATH, brief).json()
    assert (better["based_on_executions"], other["based_on_executions"]) == (3, 0)
    assert better["output_tokens"]["likely"] != first["output_tokens"]["likely"]
    assert other == first
    assert Decimal(better["cost_usd"]["likely"]) > 0
    assert better["unpriced_models"] == []


def test_a_model_without_a_known_price_is_named_and_the_rest_is_known(ada: Caller) -> None:
    steps = [{**step.model_dump(mode="json"), "fallbacks": ()} for step in reports.definition().steps]
    steps[0]["model"], steps[1]["fallbacks"] = "openai:gpt-5", ["unknown:model"]
    known = reports.definition().model_dump(mode="json")
    workflows.publish(parse_definition({**known, "id": "half", "steps": steps}), now=timezone.now())
    found = ada.post("/workflows/half/estimate", {"input": "# Ferry"}).json()
    research, summary = found["steps"]
    assert (found["cost_usd"], found["cost_complete"], found["unpriced_models"]) == (None, False, ["unknown:model"])
    assert summary["cost_usd"] is None
    assert found["known_cost_usd"] == research["cost_usd"]
    assert Decimal(research["cost_usd"]["low"]) > 0
    assert found["output_tokens"]["high"] > 0


def test_what_is_asked_wrongly_is_named(ada: Caller, report: int) -> None:
    response = ada.post(PATH, {"input": "", "scope_type": "Not a slug", "more": 1})
    assert (response.status_code, pointers(response)) == (422, {"/input", "/scope_type", "/more"})
    assert ada.post("/workflows/nothing/estimate", {"input": "x"}).status_code == 404
    assert ada.post(PATH, {"input": "x", "workflow_version": 9}).status_code == 404
