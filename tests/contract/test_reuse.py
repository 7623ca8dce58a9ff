"""Executions that make only what is missing or stale, in memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import ToolCall
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Brief, Document, Execution
from executions.engine.domain.states import ExecutionStatus, Reuse, StepStatus
from executions.engine.runtime.reuse_plan import plan_reuse
from executions.engine.transitions.planner import new_execution
from tests.contract.backends import UNKNOWN_ID, AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import definition, document, reply
from workflows.definitions.definition import WorkflowDefinition

WorldType = type[MemoryWorld] | type[PostgresWorld]
STEPS = ("one", "two", "three", "four")


def chain(**changed: Mapping[str, Any]) -> WorkflowDefinition:
    """Return a workflow of four steps, each of which reads the document of the one before."""
    inputs = {"one": [], "two": ["one"], "three": ["two"], "four": ["three"]}
    return definition(*({"id": step, "inputs": inputs[step], **changed.get(step, {})} for step in STEPS))


async def edit(world: AnyWorld, kind: str, title: str) -> Document:
    """Store a person's version of a document, with the origin and the inputs of the version before."""
    await world.ports.clock.sleep(0.01)
    documents = world.ports.repositories.documents
    head = await documents.get_by_scope_type((await world.now()).scope.id, kind)
    assert head is not None
    edited = replace(
        head,
        version=head.version + 1,
        title=title,
        content={**head.content, "title": title},
        execution_id=None,
        created_at=world.ports.clock.now(),
        provenance={name: head.provenance[name] for name in ("origin", "inputs")},
        author_name="ann",
    )
    return await documents.save(edited)


async def made_again(
    world: AnyWorld,
    *,
    brief: Brief = "The brief.",
    workflow: WorkflowDefinition | None = None,
    reuse: Reuse = Reuse.CURRENT,
) -> list[str]:
    """Run one more execution; return the steps that paid for calls."""
    await world.ports.clock.sleep(0.01)
    await world.start_again(brief, reuse=reuse, definition=workflow)
    ended = await world.runner("b").run()
    assert ended.status is ExecutionStatus.COMPLETED
    return await paid(world)


async def paid(world: AnyWorld) -> list[str]:
    """Return the steps of the present execution with rows in the ledger."""
    execution = await world.now()
    return [step for step in execution.steps if await world.ports.ledger.calls(execution.id, step)]


@pytest.fixture
async def world(world_of: WorldType) -> AnyWorld:
    """A scope in which the chain has run once."""
    made = world_of(chain())
    await made.start()
    await made.runner("a").run()
    return made


async def test_a_second_run_pays_nothing(world: AnyWorld) -> None:
    assert await made_again(world) == []
    execution = await world.now()
    assert [step.document_version for step in execution.steps.values()] == [1, 1, 1, 1]
    assert [step.attempt for step in execution.steps.values()] == [0, 0, 0, 0]
    told = [(event, step) for _, event, step in await world.log() if step]
    assert told == [(event, step) for step in STEPS for event in ("step_reused", "step_completed")]


async def test_without_the_flag_a_second_run_pays_for_everything(world: AnyWorld) -> None:
    assert await made_again(world, reuse=Reuse.NONE) == [*STEPS]


async def test_an_edited_second_document_costs_two_calls(world: AnyWorld) -> None:
    await edit(world, "two", "By Ann")
    world.script = {step: [document(f"{step} anew")] for step in STEPS}
    assert await made_again(world) == ["three", "four"]
    execution = await world.now()
    assert [step.document_version for step in execution.steps.values()] == [1, 2, 2, 2]
    assert await made_again(world) == []


async def test_restored_content_costs_nothing(world: AnyWorld) -> None:
    await edit(world, "two", "By Ann")
    await edit(world, "two", "Title of two")
    assert await made_again(world) == []
    assert (await world.now()).steps["two"].document_version == 3


async def test_the_same_content_again_ends_the_changes(world: AnyWorld) -> None:
    await edit(world, "one", "By Ann")
    assert await made_again(world) == ["two"]
    assert (await world.now()).steps["three"].input_versions[0].version == 2


async def test_another_brief_costs_everything(world: AnyWorld) -> None:
    assert await made_again(world, brief="Another brief.") == [*STEPS]


async def test_another_model_costs_nothing(world: AnyWorld) -> None:
    limits = {"max_attempts": 7, "timeout_seconds": 5, "max_output_tokens": 900}
    assert await made_again(world, workflow=chain(two={"model": "strong", "fallbacks": ["fast"], **limits})) == []


async def test_another_task_costs_its_step_and_what_depends_on_its_content(world: AnyWorld) -> None:
    other = chain(two={"task": "Write two better."})
    assert await made_again(world, workflow=other) == ["two"]
    world.script = {"two": [document("Better")], "three": [document("Better, too")]}
    best = chain(two={"task": "Write two best."})
    assert await made_again(world, workflow=best) == ["two", "three", "four"]


async def test_a_document_without_acceptance_is_made_again(world_of: WorldType) -> None:
    world = world_of(definition({"id": "one", "acceptance": {}}))
    await world.start()
    waiting = await world.runner("a").run()
    assert waiting.steps["one"].status is StepStatus.WAITING
    await world.start_again(reuse=Reuse.CURRENT)
    await world.runner("b").run()
    assert await paid(world) == ["one"]
    await world.review(AcceptanceAction.ACCEPT, version=2)
    assert await made_again(world) == []
    await edit(world, "one", "By Ann")
    assert await made_again(world) == []
    assert (await world.now()).steps["one"].document_version == 3


async def test_where_approvers_vote_an_edit_after_their_votes_is_not_reused(world_of: WorldType) -> None:
    gated = definition({"id": "one", "acceptance": {}})
    voted = definition({"id": "one", "acceptance": {}, "approvers": {"required": 1}})
    world = world_of(gated)
    await world.start()
    await world.runner("a").run()
    await world.review(AcceptanceAction.ACCEPT, version=1)
    await world.start_again(reuse=Reuse.CURRENT, definition=voted)
    assert (await world.runner("b").run()).status is ExecutionStatus.WAITING, "it was accepted by other rules"
    await world.review(AcceptanceAction.ACCEPT, version=2)
    assert await made_again(world, workflow=voted) == []
    await edit(world, "one", "By Ann")
    await world.start_again(reuse=Reuse.CURRENT, definition=voted)
    assert (await world.runner("c").run()).status is ExecutionStatus.WAITING, "the edit has no vote"


@pytest.fixture
async def items(world_of: WorldType) -> AnyWorld:
    """A scope in which a plan and its two parts have been made."""
    part = {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}}
    schema = {
        "type": "object",
        "required": ["title", "parts"],
        "properties": {"title": {"type": "string", "minLength": 1}, "parts": {"type": "array", "items": part}},
    }
    over = {"document": "plan", "items": "/parts", "key": "slug", "scope_type": "part"}
    made = world_of(definition({"id": "plan", "output_schema": schema}, {"id": "part", "for_each": over}))
    content: dict[str, Any] = {"title": "Plan", "parts": [{"slug": "x"}, {"slug": "y"}]}
    made.script = {"plan": [reply(ToolCall(name="submit_document", arguments=content))]}
    await made.start()
    assert [*(await made.runner("a").run()).steps] == ["plan", "part@x", "part@y"]
    return made


async def test_items_are_reused_in_their_own_scopes(items: AnyWorld) -> None:
    assert await made_again(items) == []
    assert [*(await items.now()).steps] == ["plan", "part@x", "part@y"]


async def plan_of(world: AnyWorld, brief: Brief = "The brief.") -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return how many documents of each step a new execution would reuse, and how many it would make."""
    execution = replace(
        new_execution(
            world.definition,
            execution_id=UNKNOWN_ID,
            workflow_version=1,
            scope=(await world.now()).scope,
            brief=brief,
            now=world.ports.clock.now(),
        ),
        reuse=Reuse.CURRENT,
    )
    found = await plan_reuse(execution, world.ports, definition=world.definition)
    return dict(found.reused), dict(found.runs)


async def test_a_plan_counts_what_is_reused_and_what_runs(items: AnyWorld) -> None:
    assert await plan_of(items) == ({"plan": 1, "part": 2}, {"plan": 0, "part": 0})
    assert await plan_of(items, "Another brief.") == ({}, {"plan": 1})  # it is not known how many parts there will be
    documents = items.ports.repositories.documents
    head = await documents.get_by_scope_type((await items.now()).scope.id, "plan")
    assert head is not None
    parts: list[JsonValue] = [{"slug": "y"}, {"slug": "z"}, {"slug": "new"}]
    await documents.save(
        replace(head, version=2, content={**head.content, "parts": parts}, execution_id=None, author_name="ann")
    )
    assert await plan_of(items) == ({"plan": 1}, {"plan": 0, "part": 3})  # each part was made from the plan as it was


async def test_a_plan_and_an_execution_agree(world: AnyWorld) -> None:
    await edit(world, "two", "By Ann")
    assert await plan_of(world) == ({"one": 1, "two": 1}, {"one": 0, "two": 0, "three": 1, "four": 1})
    world.script = {step: [document(f"{step} anew")] for step in STEPS}
    assert await made_again(world) == ["three", "four"]


async def test_a_retry_from_a_reused_step_makes_it(world: AnyWorld) -> None:
    world.script = {"four": [reply(text="")]}
    await world.start_again(
        reuse=Reuse.CURRENT, definition=chain(four={"task": "Write four better.", "max_attempts": 1})
    )
    failed: Execution = await world.runner("b").run()
    assert (failed.status, await paid(world)) == (ExecutionStatus.FAILED, ["four"])
    await world.retry("two")
    await world.runner("c").run()
    assert await paid(world) == ["two", "three", "four"]
