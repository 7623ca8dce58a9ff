"""Prompts and replies over the API: of erased executions, and of others that have read what was erased."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pydantic import JsonValue

from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.prompting.replies import ASK_CLARIFICATION
from executions.engine.testing.in_memory_models import ScriptedModelClient
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.integration.erasure.story import SCOPE, digest, echo, run
from workflows import repository as workflows

pytestmark = pytest.mark.django_db(transaction=True)


async def completed(who: Caller, workflow: str) -> str:
    body = {"workflow_id": workflow, **SCOPE, "input": "A brief."}
    started: str = (await in_thread(who.post, "/executions/", body)).json()["execution_id"]
    assert (await run(started, ScriptedModelClient(echo(asks=False)))).status == "completed"
    return started


async def get(who: Caller, path: str) -> Any:
    return await in_thread(who.get, path)


async def test_prompts_and_replies_are_null_or_410() -> None:
    def prepare() -> Caller:
        reports.publish()
        workflows.publish(digest(), now=timezone.now())
        return make_caller("bob")

    bob = await in_thread(prepare)
    made, reader = await completed(bob, "report"), await completed(bob, "digest")
    for execution_id in (made, reader):
        calls = (await get(bob, f"/executions/{execution_id}/calls")).json()["data"]
        assert {(each["prompt_exact"], each["erased_at"]) for each in calls} == {(True, None)}
    assert (await in_thread(bob.delete, f"/executions/{made}")).status_code == 204
    await _check_erased(bob, made)
    await _check_reader(bob, reader)


async def _check_erased(bob: Caller, execution_id: str) -> None:
    calls = (await get(bob, f"/executions/{execution_id}/calls")).json()["data"]
    assert len(calls) == 4
    for each in calls:
        assert (each["prompt_exact"], each["erased_at"] is None, each["cost_usd"]) == (None, False, "0.0123000000")
        found = (await get(bob, f"/executions/{execution_id}/calls/{each['id']}")).json()
        assert (found["prompt"], found["reply"], found["violations"], found["findings"]) == (None, None, [], [])
        assert found["input_tokens"] == each["input_tokens"]
    response = await get(bob, f"/executions/{execution_id}/steps/research/prompt")
    assert (response.status_code, response.json()["code"]) == (410, "erased")
    assert (await get(bob, f"/executions/{execution_id}/steps/ghost/prompt")).status_code == 410


async def _check_reader(bob: Caller, execution_id: str) -> None:
    """Its replies stay; its prompts cannot be rebuilt."""
    calls = (await get(bob, f"/executions/{execution_id}/calls")).json()["data"]
    assert {(each["prompt_exact"], each["erased_at"]) for each in calls} == {(None, None)}
    found = (await get(bob, f"/executions/{execution_id}/calls/{calls[0]['id']}")).json()
    assert found["prompt"] is None
    assert found["reply"] is not None
    assert (await get(bob, f"/executions/{execution_id}/steps/shorten/prompt")).status_code == 410
    assert (await get(bob, f"/executions/{execution_id}")).json()["erased_at"] is None


async def test_a_step_that_has_to_read_again_what_was_erased_fails() -> None:
    def prepare() -> Caller:
        reports.publish()
        workflows.publish(digest(asks=True), now=timezone.now())
        return make_caller("bob")

    async def ask(request: ModelRequest) -> ModelReply:
        questions: JsonValue = {"questions": [{"text": "Which part?"}]}
        return ModelReply(provider="a", model="b", tool_calls=(ToolCall(name=ASK_CLARIFICATION, arguments=questions),))

    bob = await in_thread(prepare)
    made = await completed(bob, "report")
    body = {"workflow_id": "digest", **SCOPE, "input": "A brief."}
    reader = (await in_thread(bob.post, "/executions/", body)).json()["execution_id"]
    assert (await run(reader, ScriptedModelClient(ask))).status == "waiting"
    assert (await in_thread(bob.delete, f"/executions/{made}")).status_code == 204
    path = f"/executions/{reader}/steps/shorten/clarification"
    answered = await in_thread(bob.post, path, {"answers": {"shorten.1.1": "All of it."}})
    assert answered.status_code == 200, answered.content
    left = await run(reader, ScriptedModelClient(echo(asks=False)))
    assert left.failure is not None
    assert (left.status, left.steps["shorten"].failure) == ("failed", left.failure)
    assert left.failure.code == "internal"
    assert left.failure.message == "The scope has no document 'findings', which this step reads."
