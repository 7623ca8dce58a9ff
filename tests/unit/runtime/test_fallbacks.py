"""When a model fails: a shorter prompt, or the next model. The ledger has every try."""

from __future__ import annotations

import asyncio

import pytest

from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode, StepStatus
from tests.factories.engine import Gate, Reply, World, definition, document, invalid
from tests.factories.provider_outages import busy, clock, resume, too_long
from workflows.definitions.definition import WorkflowDefinition

LONG = "The brief says so. " * 500


def with_fallbacks(*models: str, **step: object) -> WorkflowDefinition:
    """Return a workflow of one step that may ask these models too."""
    return definition({"id": "one", "model": "a:first", "fallbacks": models, **step})


def asked(world: World) -> list[str]:
    return [request.model for request in world.asked]


async def test_what_is_too_long_is_cut_to_half_once_and_the_document_says_so() -> None:
    world = await World(script={"one": [too_long(), document()]}).start(LONG)
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    whole, cut = world.asked[0].prompt, world.asked[1].prompt
    assert len(LONG) * 0.4 < len(cut) < len(LONG) * 0.6 < len(whole)
    assert "characters left out" in cut
    assert [(key.ordinal, call.status) for key, call in world.ledger.rows.items() if key.step_id == "one"] == [
        (1, CallStatus.FAILED),
        (2, CallStatus.COMMITTED),
    ]
    made = [world.documents.versions[execution.scope.id, kind][0].provenance for kind in ("one", "two")]
    assert made[0]["condensed"] is True
    assert made[0]["request_hash"] == world.asked[1].request_hash
    assert "condensed" not in made[1]


async def test_what_is_still_too_long_fails_the_step() -> None:
    world = await World(script={"one": [too_long(), too_long()]}).start(LONG)
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.CONTEXT_TOO_LONG
    assert len(world.asked) == 2


async def test_what_is_still_too_long_goes_whole_to_a_model_that_may_read_more() -> None:
    world = await World(with_fallbacks("b:second"), {"one": [too_long(), too_long(), document()]}).start(LONG)
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert asked(world) == ["a:first", "a:first", "b:second"]
    assert world.asked[2].prompt == world.asked[0].prompt


async def test_a_model_whose_tries_are_used_up_is_followed_by_the_next() -> None:
    flow = with_fallbacks("b:second", "c:third", retries={"max_tries": 2})
    replies: list[Reply] = [*[busy()] * 4, document()]
    world = await World(flow, {"one": replies}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert asked(world) == ["a:first", "a:first", "b:second", "b:second", "c:third"]
    assert [call.model for call in world.ledger.rows.values()] == asked(world)
    assert [key.ordinal for key in world.ledger.rows] == [1, 2, 3, 4, 5]


async def test_when_all_models_fail_the_step_fails_with_the_last_error() -> None:
    wrong = ModelError(FailureCode.PROVIDER_REJECTED, "The key is wrong.")
    world = await World(with_fallbacks("b:second"), {"one": [busy(), *[busy()] * 4, wrong]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.PROVIDER_REJECTED
    assert asked(world) == ["a:first"] * 5 + ["b:second"]


async def test_rather_than_wait_for_long_the_next_model_is_asked() -> None:
    world = await World(with_fallbacks("b:second"), {"one": [busy(3600.0), document()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert asked(world) == ["a:first", "b:second"]
    assert clock(world).slept == []


async def test_what_one_model_refuses_no_other_is_asked_for() -> None:
    refused = ModelError(FailureCode.MODEL_REFUSED, "No.")
    world = await World(with_fallbacks("b:second"), {"one": [refused]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.MODEL_REFUSED
    assert asked(world) == ["a:first"]


async def test_who_made_the_output_mends_it() -> None:
    wrong = ModelError(FailureCode.PROVIDER_REJECTED, "The key is wrong.")
    world = await World(with_fallbacks("b:second"), {"one": [wrong, invalid(), document()]}).start()
    execution = await world.run()
    assert asked(world) == ["a:first", "b:second", "b:second"]
    [made] = world.documents.versions[execution.scope.id, "one"]
    assert made.provenance["attempt"] == 2


async def test_a_deferred_step_goes_on_with_the_model_and_the_prompt_that_it_had_come_to() -> None:
    flow = with_fallbacks("b:second")
    replies: list[Reply] = [ModelError(FailureCode.PROVIDER_REJECTED, "No key."), too_long(), busy(600.0), document()]
    world = await World(flow, {"one": replies}).start(LONG)
    assert (await world.run()).status is ExecutionStatus.WAITING
    clock(world).advance(601)
    await resume(world)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert asked(world) == ["a:first", "b:second", "b:second", "b:second"]
    assert world.asked[3].request_hash == world.asked[2].request_hash != world.asked[1].request_hash


async def test_a_runner_that_takes_over_asks_the_model_that_was_asked_last() -> None:
    wrong, silence = ModelError(FailureCode.PROVIDER_REJECTED, "No key."), Gate(document())
    world = await World(with_fallbacks("b:second"), {"one": [wrong, silence, document()]}).start()
    first = asyncio.create_task(world.runner().run())
    await silence.under_way()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    execution = await world.run("b")
    assert execution.steps["one"].status is StepStatus.COMPLETED
    assert asked(world) == ["a:first", "b:second", "b:second"]
