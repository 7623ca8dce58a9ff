"""A model's version beside a person's edit, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import ExecutionStatus, Reuse, StepStatus, WaitingOn
from executions.engine.transitions import acceptance
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import Gate, definition, document, reply
from workflows.definitions.definition import WorkflowDefinition

WorldType = type[MemoryWorld] | type[PostgresWorld]
STEP = "one"
PARTS = ("part@x", "part@y")


def items() -> WorkflowDefinition:
    """Return a workflow with a plan, and a step over each of its parts."""
    part = {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}}
    parts = {
        "type": "object",
        "required": ["title", "parts"],
        "properties": {"title": {"type": "string", "minLength": 1}, "parts": {"type": "array", "items": part}},
    }
    over = {"document": "plan", "items": "/parts", "key": "slug", "scope_type": "part"}
    return definition({"id": "plan", "output_schema": parts}, {"id": "part", "for_each": over})


def plan(*slugs: str) -> ModelReply:
    """Return a reply with a plan of these parts."""
    content: dict[str, Any] = {"title": "Plan", "parts": [{"slug": each} for each in slugs]}
    return reply(ToolCall(name="submit_document", arguments=content))


async def edit(
    world: AnyWorld, content: str, *, ago: float = 0.0, scope_id: UUID | None = None, kind: str = STEP
) -> Document:
    """Store a person's version of the step's document; it bears a time `ago` seconds before."""
    scope_id, documents = scope_id or (await world.now()).scope.id, world.ports.repositories.documents
    head = await documents.get_by_scope_type(scope_id, kind)
    return await documents.save(
        Document(
            id=uuid7(),
            scope_id=scope_id,
            type=kind,
            version=1 if head is None else head.version + 1,
            title=content,
            content={"title": content, "points": ["by hand"]},
            schema=world.definition.step(kind).output_schema,
            execution_id=None,
            step_id=None,
            created_at=world.ports.clock.now() - timedelta(seconds=ago),
            author_name="ann",
        )
    )


async def decide(world: AnyWorld, action: AcceptanceAction, *, version: int, final: Document) -> Execution:
    """Decide about a proposed version."""
    read = await world.ports.repositories.documents.get(final.id, version)
    target = acceptance.AcceptanceContext(read=read, final=final, definition=world.definition)
    made = AcceptanceDecision(
        decision=action,
        document_version=version,
        about_proposal=read.proposed,
        decided_by="ann",
        decided_at=world.ports.clock.now(),
    )
    return await world.decide(
        lambda execution, context: acceptance.decide(execution, STEP, made, target=target, context=context)
    )


@pytest.fixture
def world(world_of: WorldType) -> AnyWorld:
    """An execution of two steps, before it starts."""
    return world_of()


@pytest.fixture
async def proposed(world: AnyWorld) -> AnyWorld:
    """A world in which a person has written the document while the model did."""

    async def meanwhile(_: ModelRequest) -> ModelReply:
        await edit(world, "By Ann")
        return document("By the model")

    world.script = {STEP: [meanwhile]}
    await world.start()
    await world.runner("a").run()
    return world


async def test_a_model_never_overwrites_a_person(proposed: AnyWorld) -> None:
    execution = await proposed.now()
    assert (execution.status, execution.waiting_on) == (ExecutionStatus.WAITING, (WaitingOn.ACCEPTANCE,))
    step, documents = execution.steps[STEP], proposed.ports.repositories.documents
    assert (step.status, step.document_version) == (StepStatus.WAITING, 2)
    assert step.document_id is not None
    head, beside = await documents.get(step.document_id), await documents.get(step.document_id, 2)
    assert (head.version, head.title, head.proposed) == (1, "By Ann", False)
    assert (beside.title, beside.proposed, beside.base_version) == ("By the model", True, 1)
    assert execution.steps["two"].status is StepStatus.PENDING


async def test_a_rejected_proposal_leaves_the_persons_version(proposed: AnyWorld) -> None:
    step = (await proposed.now()).steps[STEP]
    assert step.document_id is not None
    head = await proposed.ports.repositories.documents.get(step.document_id)
    decided = await decide(proposed, AcceptanceAction.REJECT, version=2, final=head)
    assert (decided.steps[STEP].status, decided.steps[STEP].document_version) == (StepStatus.COMPLETED, 1)
    ended = await proposed.runner("b").run()
    assert ended.status is ExecutionStatus.COMPLETED
    assert [pin.version for pin in ended.steps["two"].input_versions] == [1]


async def test_an_accepted_proposal_becomes_the_head(proposed: AnyWorld) -> None:
    step, documents = (await proposed.now()).steps[STEP], proposed.ports.repositories.documents
    assert step.document_id is not None
    read = await documents.get(step.document_id, 2)
    final = await documents.save(replace(read, version=3, proposed=False))
    await decide(proposed, AcceptanceAction.ACCEPT, version=2, final=final)
    ended = await proposed.runner("b").run()
    assert (ended.status, ended.steps[STEP].document_version) == (ExecutionStatus.COMPLETED, 3)
    head = await documents.get(step.document_id)
    assert (head.version, head.title, head.base_version) == (3, "By the model", 1)


async def test_what_was_edited_before_the_step_began_is_its_base(world: AnyWorld) -> None:
    await world.start()
    await edit(world, "By Ann")
    ended = await world.runner("a").run()
    assert (ended.status, ended.steps[STEP].document_version) == (ExecutionStatus.COMPLETED, 2)


async def test_an_edit_that_became_visible_after_the_step_began_is_kept(world: AnyWorld) -> None:
    async def meanwhile(_: ModelRequest) -> ModelReply:
        await edit(world, "By Ann", ago=3600.0)  # as if its transaction had begun before the step
        return document("By the model")

    world.script = {STEP: [meanwhile]}
    await world.start()
    waiting = await world.runner("a").run()
    assert (waiting.steps[STEP].status, waiting.steps[STEP].document_version) == (StepStatus.WAITING, 2)


async def test_a_step_that_is_run_again_begins_with_the_edit(world: AnyWorld) -> None:
    world.script = {"two": [reply(text="")] * 9}
    await world.start()
    assert (await world.runner("a").run()).status is ExecutionStatus.FAILED
    await edit(world, "By Ann")
    world.script = {}
    await world.retry(STEP)
    ended = await world.runner("b").run()
    assert (ended.status, ended.steps[STEP].document_version) == (ExecutionStatus.COMPLETED, 3)


async def test_steps_over_items_begin_with_the_versions_of_their_scopes(world_of: WorldType) -> None:
    world = world_of(items())
    world.script = {"plan": [plan("x", "y")]}
    await world.start()
    await world.runner("a").run()
    scope = (await world.now()).steps["part@x"].scope
    await edit(world, "By Ann", scope_id=scope.id, kind="part")
    await world.start_again(reuse=Reuse.NONE)
    gate = Gate(document("By the model"))
    world.script = {"plan": [plan("x", "y")], "part@x": [document("Anew")], "part@y": [gate]}
    running = asyncio.create_task(world.runner("b").run())
    await gate.under_way()
    await edit(world, "By Ann", scope_id=(await world.now()).steps["part@y"].scope.id, kind="part")
    gate.opened.set()
    execution = await running
    parts = {each: (execution.steps[each].status, execution.steps[each].document_version) for each in PARTS}
    assert parts == {"part@x": (StepStatus.COMPLETED, 3), "part@y": (StepStatus.WAITING, 3)}


@pytest.mark.parametrize("chosen", ["accepted", "revised"])
async def test_a_version_that_a_person_chose_is_kept_like_an_edit(world_of: WorldType, chosen: str) -> None:
    world = world_of(definition({"id": STEP, "acceptance": {}}))
    first, second = Gate(document("Of the first")), Gate(document("Of the second"))
    running: list[asyncio.Task[Execution]] = []
    ids: list[UUID] = []
    for number, gate in enumerate((first, second)):
        await (world.start_again(reuse=Reuse.NONE) if number else world.start())
        world.script = {STEP: [gate]}
        ids.append(world.execution_id)
        running.append(asyncio.create_task(world.runner(f"runner {number}").run()))
        await gate.under_way()
    documents, title = world.ports.repositories.documents, "Of the second"
    if chosen == "accepted":  # in place of an edit
        edited = await edit(world, "By Ann")
        second.opened.set()
        await running[1]
        read = await documents.get(edited.id, 2)
        assert read.proposed
        await decide(world, AcceptanceAction.ACCEPT, version=2, final=await documents.save(accepted(read)))
    else:  # after an edit, which the model has read
        second.opened.set()
        waiting = (await running[1]).steps[STEP].document_id
        assert waiting is not None
        edited = await edit(world, "By Ann")
        await world.decide(lambda execution, context: acceptance.follow_edit(execution, edited, context=context))
        await decide(world, AcceptanceAction.REQUEST_CHANGES, version=2, final=edited)
        title = "With Ann's words"
        world.script = {STEP: [document(title)]}
        await world.runner("runner 2").run()
    first.opened.set()
    world.execution_id = ids[0]
    step = (await running[0]).steps[STEP]
    assert (step.status, step.document_version) == (StepStatus.WAITING, 4)
    assert step.document_id is not None
    head, beside = await documents.get(step.document_id), await documents.get(step.document_id, 4)
    assert (head.version, head.title, beside.title, beside.proposed) == (3, title, "Of the first", True)


def accepted(proposed: Document) -> Document:
    """Return the version that an accepted proposal becomes."""
    return replace(proposed, version=proposed.version + 1, proposed=False)
