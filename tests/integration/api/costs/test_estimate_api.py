"""Estimates over HTTP: no execution starts, and no row is written."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import override_settings
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from documents.models import Document, DocumentVersion
from executions.composition import build_ports
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.llm.client import model_client
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.engine import definition
from tests.integration.api.checks import counts, grant, pointers
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition
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
    half = {"input": "x", "scope_type": "project"}
    assert pointers(ada.post(PATH, half)) == pointers(ada.post(PATH, {**half, "reuse": "current"})) == {"/scope_id"}
    assert pointers(ada.post(PATH, {"input": "x", "reuse": "current"})) == {"/scope_type", "/scope_id"}
    assert pointers(ada.post(PATH, {"input": "x", "reuse": "all"})) == {"/reuse"}


SCOPE = {"scope_type": "project", "scope_id": "alpha"}
BRIEF = {"input": "A brief.", **SCOPE}
STEPS = ("one", "two", "three", "four")


def chain(**changed: Any) -> WorkflowDefinition:
    """Return a workflow of four steps, each of which reads the document of the one before."""
    inputs = dict(zip(STEPS, ([], ["one"], ["two"], ["three"]), strict=True))
    return definition(*({"id": step, "inputs": inputs[step], **changed.get(step, {})} for step in STEPS))


def run(caller: Caller, **options: Any) -> Execution:
    """Start the workflow and run it with the rehearsal model until it waits or has ended."""
    response = caller.post("/executions/", {"workflow_id": "report", **BRIEF, **options})
    assert response.status_code == 201, response.content
    return go_on(UUID(response.json()["execution_id"]))


def go_on(execution_id: UUID) -> Execution:
    return asyncio.run(ExecutionRunner(build_ports(), execution_id=execution_id, worker="tests").run())


def reused(caller: Caller, **more: Any) -> dict[str, int]:
    """Return how many documents the estimate reuses, by step; it counts calls of the other steps alone."""
    response = caller.post(PATH, {**BRIEF, "reuse": "current", **more})
    assert response.status_code == 200, response.content
    found = response.json()
    for each in found["steps"]:
        assert each["calls"]["low"] <= each["calls"]["high"]
    return {each["step_id"]: each["reused"] for each in found["steps"]}


def calls(caller: Caller, **options: Any) -> dict[str, int]:
    """Return the expected calls by step."""
    found = caller.post(PATH, {**BRIEF, **options}).json()
    assert found["calls"]["likely"] == sum(each["calls"]["likely"] for each in found["steps"])
    return {each["step_id"]: each["calls"]["likely"] for each in found["steps"]}


def edit(caller: Caller, kind: str, title: str, version: int = 1) -> None:
    row = Document.objects.get(type=kind)
    content = {**DocumentVersion.objects.get(document=row, version=version).content, "title": title}
    response = caller.put(f"/documents/{row.id}", {"content": content}, If_Match=f'"{version}"')
    assert response.status_code == 200, response.content


@pytest.mark.django_db(transaction=True)
def test_an_estimate_and_a_start_agree_about_what_is_reused(ada: Caller, eve: Caller) -> None:
    workflows.publish(chain().rehearsed, now=timezone.now())
    assert reused(ada) == dict.fromkeys(STEPS, 0)  # there is no such scope yet
    assert run(ada).status is ExecutionStatus.COMPLETED
    assert calls(ada, reuse="current") == dict.fromkeys(STEPS, 0)
    assert calls(ada) == dict.fromkeys(STEPS, 1)
    edit(ada, "two", "By Ada")
    before = counts()
    estimated = {"one": 1, "two": 1, "three": 0, "four": 0}
    assert (reused(ada), calls(ada, reuse="current")) == (estimated, {step: 1 - estimated[step] for step in STEPS})
    assert counts() == before
    assert reused(ada, input="Another brief.") == reused(eve) == dict.fromkeys(STEPS, 0)
    grant(eve.user, "alpha", Role.VIEWER)
    response = eve.post(PATH, {**BRIEF, "reuse": "current"})
    assert (response.status_code, response.json()["code"]) == (403, "scope-forbidden")
    ScopeRole.objects.filter(user=eve.user).update(role=Role.OPERATOR)
    assert reused(eve) == estimated
    ended = run(ada, reuse="current")
    assert [ended.steps[step].attempt for step in ("one", "two", "three")] == [0, 0, 1]
    # The rehearsal writes the same document for step three again, so step four is reused all the same.
    assert ended.steps["four"].attempt == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "decisions",
    [
        (),
        ("accept",),
        ("edit", "accept"),
        ("accept", "edit"),
        ("merge",),
        ("reject",),
        ("edit", "reject"),
        ("cancel",),
        ("request_changes",),
    ],
)
def test_what_is_not_accepted_is_stale_and_made_again(ada: Caller, decisions: tuple[str, ...]) -> None:
    workflows.publish(chain(one={"acceptance": {}}).rehearsed, now=timezone.now())
    execution = run(ada)
    path = f"/executions/{execution.id}"
    for each in decisions:
        version = Document.objects.get(type="one").version
        body: dict[str, Any] = {"decision": each, "document_version": version, "comment": "Why"}
        if each == "edit":
            edit(ada, "one", "By Ada")
        elif each == "cancel":
            assert ada.post(f"{path}/cancel").status_code == 200
        else:
            if each == "merge":
                body |= {"decision": "accept", "patch": [{"op": "replace", "path": "/title", "value": "By Ada"}]}
            assert ada.post(f"{path}/steps/one/acceptance", body).status_code == 200
    shown = ada.get(f"/documents/{Document.objects.get(type='one').id}").json()
    unaccepted = [each["kind"] for each in shown["stale_because"]] == ["not_accepted"]
    assert (unaccepted, reused(ada)["one"]) == ((False, 1) if {"accept", "merge"} & {*decisions} else (True, 0))
