"""From a start over the API to the last event of the stream: engine, database and API together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pydantic import JsonValue

from access.services import ensure_user, issue_token
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall, Usage
from executions.engine.domain.execution import Execution
from executions.engine.prompting.replies import ASK_CLARIFICATION, SUBMIT_DOCUMENT
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.rendering import zip_entries
from tests.integration.streams.client import Browser
from workflows import loader, repository

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]

BRIEF = "# Tool library\n\nThe city lends 400 tools from 3 branches. The budget is 20,000 EUR. Ms Ode decides."
BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "library", "input": BRIEF}
PRICES = ("0.0010000001", "0.0200000000", "0.0300000002", "0.4000000000")
TOKENS_PER_CALL = 1500

Line = Callable[[ModelRequest], tuple[str, JsonValue]]


def ask(request: ModelRequest) -> tuple[str, JsonValue]:
    """Ask two questions, one of which may stay unanswered."""
    return ASK_CLARIFICATION, {"questions": [{"text": "Who decides?"}, {"text": "By when?", "required": False}]}


def write_badly(request: ModelRequest) -> tuple[str, JsonValue]:
    """Forget the title."""
    return SUBMIT_DOCUMENT, {"points": []}


def write_findings(request: ModelRequest) -> tuple[str, JsonValue]:
    """Write down what people answered."""
    answers: list[JsonValue] = [each.text for each in request.materials if each.kind == "answer"]
    return SUBMIT_DOCUMENT, {"title": "Findings", "points": answers}


def write_summary(request: ModelRequest) -> tuple[str, JsonValue]:
    """Sum up what the findings say."""
    findings = next(each.text for each in request.materials if each.name == "findings")
    return SUBMIT_DOCUMENT, {"title": "Summary", "points": [findings]}


def script(*lines: Line) -> Callable[[ModelRequest], Awaitable[ModelReply]]:
    """Return a model that says one line after the other, each at its price."""
    told: Iterator[tuple[Line, str]] = iter(zip(lines, PRICES, strict=True))

    async def complete(request: ModelRequest) -> ModelReply:
        line, price = next(told)
        tool, arguments = line(request)
        return ModelReply(
            provider="scripted",
            model="writer-1",
            tool_calls=(ToolCall(name=tool, arguments=arguments),),
            usage=Usage(input_tokens=1000, cache_read_input_tokens=300, output_tokens=200, reasoning_tokens=50),
            cost_usd=Decimal(price),
            latency_ms=120,
        )

    return complete


async def run(execution_id: str, models: ScriptedModelClient | None = None) -> Execution:
    """Do what a worker does with the execution: carry it on until nothing in it can go on."""
    plugged = build_ports() if models is None else replace(build_ports(), models=models)
    return await ExecutionRunner(plugged, execution_id=UUID(execution_id), worker="tests").run()


async def caller(name: str) -> Caller:
    """Return a user with a token."""

    def make() -> Caller:
        user = ensure_user(name=name)
        return Caller(user, issue_token(user)[1], Client())

    return await in_thread(make)


async def get(who: Caller, path: str, **query: str) -> Any:
    """Read over the API."""
    response = await in_thread(who.get, path, query)
    assert response.status_code == 200, response.content
    return response.json()


async def post(who: Caller, path: str, body: object) -> Any:
    """Write over the API."""
    response = await in_thread(who.post, path, body)
    assert response.status_code in {200, 201}, response.content
    return response.json()


async def test_an_execution_goes_from_its_start_over_a_question_and_a_repair_to_its_documents(browser: Browser) -> None:
    await in_thread(reports.publish)
    ada = await caller("ada")
    models = ScriptedModelClient(script(ask, write_badly, write_findings, write_summary))

    execution_id = (await post(ada, "/executions/", BODY))["execution_id"]
    async with browser.get(UUID(execution_id), token=ada.token) as live:
        await run(execution_id, models)
        waiting = await get(ada, f"/executions/{execution_id}")
        assert (waiting["status"], waiting["waiting_on"]) == ("waiting", ["clarification"])
        research = (await get(ada, f"/executions/{execution_id}/steps"))["data"][0]
        assert research["status"] == "waiting"
        question = research["clarification"]["questions"][0]["id"]
        path = f"/executions/{execution_id}/steps/research/clarification"
        assert (await post(ada, path, {"answers": {question: "Ms Ode"}}))["status"] == "running"
        await run(execution_id, models)
        await live.rest()

    finished = await get(ada, f"/executions/{execution_id}")
    assert (finished["status"], finished["progress"]) == ("completed", {"done_steps": 2, "total_steps": 2})
    assert len(models.requests) == len(PRICES)
    await _check_log(browser, ada, execution_id, live.text)
    await _check_documents(ada, execution_id)
    await _check_costs(ada, execution_id)
    await _check_prompts(ada, execution_id, models.requests)
    await _check_calls(ada, execution_id, models.requests)


async def _check_log(browser: Browser, ada: Caller, execution_id: str, live: str) -> None:
    """The stream that was open all the time, a replay afterwards, and the pages of the log tell the same."""
    log = (await get(ada, f"/executions/{execution_id}/events"))["data"]
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    assert [event["event_type"] for event in log] == [
        "execution_created",
        "execution_started",
        "step_started",
        "clarification_needed",
        "execution_waiting",
        "clarification_answered",
        "execution_resumed",
        "step_started",
        "remediation_started",
        "step_completed",
        "step_started",
        "step_completed",
        "complete",
    ]
    assert log[8]["data"]["violations"][0]["pointer"] in {"", "/title"}
    async with browser.get(UUID(execution_id), token=ada.token) as replay:
        await replay.rest()
    for text in (live, replay.text):
        assert [line for line in text.splitlines() if line.startswith("id: ")] == [
            f"id: {event['sequence']}" for event in log
        ]


async def _check_documents(ada: Caller, execution_id: str) -> None:
    """The documents are stored, with where they come from, and the second was made from the first."""
    documents = (await get(ada, "/documents/", execution_id=execution_id))["data"]
    by_type = {each["type"]: await get(ada, f"/documents/{each['id']}") for each in documents}
    assert by_type.keys() == {"findings", "summary"}
    findings, summary = by_type["findings"], by_type["summary"]
    assert "Ms Ode" in findings["content"]["points"][0]
    assert "Ms Ode" in summary["content"]["points"][0]
    assert summary["provenance"]["inputs"] == [{"type": "findings", "document_id": findings["id"], "version": 1}]
    assert findings["provenance"]["model"] == "scripted:writer-1"
    assert (findings["version"], findings["rehearsal"]) == (1, False)
    steps = (await get(ada, f"/executions/{execution_id}/steps"))["data"]
    assert [step["document"]["id"] for step in steps] == [findings["id"], summary["id"]]


async def _check_prompts(ada: Caller, execution_id: str, sent: list[ModelRequest]) -> None:
    """What every model was asked can be read, and is what was sent."""
    path = f"/executions/{execution_id}/steps/research/prompt"
    kinds = ["generate", "clarify", "remediate"]
    for attempt, (kind, request) in enumerate(zip(kinds, sent, strict=False), start=1):
        shown = await get(ada, f"{path}?attempt={attempt}")
        assert (shown["kind"], shown["ordinal"], shown["exact"]) == (kind, 1, True)
        assert (shown["instructions"], shown["prompt"]) == (request.instructions, request.prompt)
        assert shown["request_hash"] == request.request_hash
    assert (await get(ada, path))["attempt"] == 3  # the newest
    assert BRIEF in (await get(ada, f"{path}?kind=clarify"))["prompt"]


async def _check_calls(ada: Caller, execution_id: str, sent: list[ModelRequest]) -> None:
    """Each call is shown with the prompt that was sent, with its reply, and with what was wrong in it."""
    path = f"/executions/{execution_id}/calls"
    listed = (await get(ada, path))["data"]
    shown = [await get(ada, f"{path}/{each['id']}") for each in listed]
    assert [(each["step_id"], each["attempt"], each["kind"]) for each in shown] == [
        ("research", 1, "generate"),
        ("research", 2, "clarify"),
        ("research", 3, "remediate"),
        ("summary", 1, "generate"),
    ]
    assert [each["reply_kind"] for each in shown] == ["questions", "invalid", "document", "document"]
    assert [each["pointer"] for each in shown[1]["violations"]] == [""]
    assert [call for call in shown if call["violations"]] == [shown[1]]
    for call, row, request, price in zip(shown, listed, sent, PRICES, strict=True):
        assert (call["prompt"]["prompt"], call["prompt"]["exact"], row["prompt_exact"]) == (request.prompt, True, True)
        assert (call["cost_usd"], call["latency_ms"], call["input_tokens"]) == (price, 120, 1000)
    assert shown[1]["reply"]["tool_calls"] == [{"name": SUBMIT_DOCUMENT, "arguments": {"points": []}}]


async def _check_costs(ada: Caller, execution_id: str) -> None:
    """Every call is counted once, in the costs, the details, the last event and the summary alike."""
    cost, tokens = f"{sum(map(Decimal, PRICES)):.10f}", TOKENS_PER_CALL * len(PRICES)
    costs = await get(ada, f"/telemetry/executions/{execution_id}/costs")
    steps = {step["step_id"]: step for step in costs["steps"]}
    assert costs["total"]["cost_usd"] == cost
    assert Decimal(steps["research"]["cost_usd"]) == sum(map(Decimal, PRICES[:3]))
    assert steps["summary"]["cost_usd"] == PRICES[3]
    kinds = [call["kind"] for attempt in steps["research"]["attempts"] for call in attempt["calls"]]
    assert kinds == ["generate", "clarify", "remediate"]
    details = await get(ada, f"/executions/{execution_id}")
    last = (await get(ada, f"/executions/{execution_id}/events"))["data"][-1]["data"]
    summary = await get(ada, "/telemetry/summary")
    stats = await get(ada, "/telemetry/workflows/report/stats")
    for told in (
        costs["total"],
        details["usage"] | {"cost_usd": details["cost_usd"]},
        last["totals"],
        summary["totals"],
    ):
        assert (told["calls"], told["total_tokens"], told["cost_usd"]) == (len(PRICES), tokens, cost)
    assert (stats["success_rate"], stats["remediation_rate"], stats["cost_usd"]["p50"]) == (1.0, 0.5, cost)


async def test_a_second_execution_in_the_scope_makes_the_next_versions(transactional_db: None) -> None:
    await in_thread(reports.publish)
    ada = await caller("ada")
    for _ in range(2):
        execution_id = (await post(ada, "/executions/", BODY))["execution_id"]
        await run(execution_id, ScriptedModelClient(script(write_badly, write_badly, write_findings, write_summary)))
    documents = (await get(ada, "/documents/", scope_type="project", scope_id="library"))["data"]
    assert {(each["type"], each["version"]) for each in documents} == {("findings", 2), ("summary", 2)}
    versions = (await get(ada, f"/documents/{documents[0]['id']}/versions"))["data"]
    assert [each["version"] for each in versions] == [2, 1]


async def test_an_execution_cancelled_before_its_turn_asks_no_model(transactional_db: None) -> None:
    await in_thread(reports.publish)
    ada = await caller("ada")
    models = ScriptedModelClient(script(ask, write_badly, write_findings, write_summary))
    execution_id = (await post(ada, "/executions/", BODY))["execution_id"]
    await post(ada, f"/executions/{execution_id}/cancel", {})
    assert (await run(execution_id, models)).status == "cancelled"
    assert models.requests == []


async def test_a_workflow_that_ships_is_rehearsed_on_a_real_brief_without_any_cost(transactional_db: None) -> None:
    definition = loader.load_folder(loader.CATALOG / "meeting-minutes")
    await in_thread(repository.publish, definition, now=timezone.now())
    ada = await caller("ada")
    execution_id = (await post(ada, "/executions/", {**BODY, "workflow_id": "meeting-minutes"}))["execution_id"]
    await run(execution_id)
    finished = await get(ada, f"/executions/{execution_id}")
    assert (finished["status"], finished["rehearsal"], finished["cost_usd"]) == ("completed", True, "0.0000000000")
    assert finished["usage"]["total_tokens"] > 0
    found = (await get(ada, "/documents/", execution_id=execution_id))["data"]
    document = await get(ada, f"/documents/{found[0]['id']}")
    assert document["rehearsal"] is True
    assert "Ms Ode" in str(document["content"])


async def test_the_items_of_a_collection_are_exported_in_its_order(transactional_db: None) -> None:
    definition = loader.load_folder(loader.CATALOG / "software-delivery")
    steps = [each.model_copy(update={"clarification": None, "acceptance": None}) for each in definition.steps]
    straight = definition.model_copy(update={"steps": tuple(steps)})
    await in_thread(repository.publish, straight, now=timezone.now())
    ada = await caller("ada")
    execution_id = (await post(ada, "/executions/", {**BODY, "workflow_id": "software-delivery"}))["execution_id"]
    await run(execution_id)
    response = await in_thread(ada.get, f"/executions/{execution_id}/export?format=zip")
    names = [name.partition("-")[2] for name in zip_entries(response.content) if name.endswith(".json")]
    assert names[:5] == [
        "vision.json",
        "risks.json",
        "epics.json",
        "architecture-epic-1.json",
        "architecture-epic-2.json",
    ]
    plans = [name for name in names if name.startswith("test-plan")]
    assert plans[0] == "test-plan-epic-1-story-1.json"
    assert plans == sorted(plans)
    assert len(plans) > 10
