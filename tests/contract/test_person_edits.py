"""A model's version beside a person's edit, in memory and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from uuid_utils.compat import uuid7

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions import acceptance
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import document

STEP = "one"


async def edit(world: AnyWorld, content: str) -> Document:
    """Store a person's version of the step's document, some time after the step began."""
    await world.ports.clock.sleep(0.01)
    execution, documents = await world.now(), world.ports.repositories.documents
    head = await documents.get_by_scope_type(execution.scope.id, STEP)
    return await documents.save(
        Document(
            id=uuid7(),
            scope_id=execution.scope.id,
            type=STEP,
            version=1 if head is None else head.version + 1,
            title=content,
            content={"title": content, "points": ["by hand"]},
            schema=world.definition.step(STEP).output_schema,
            execution_id=None,
            step_id=None,
            created_at=world.ports.clock.now(),
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
def world(world_of: type[MemoryWorld] | type[PostgresWorld]) -> AnyWorld:
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
    await world.ports.clock.sleep(0.01)
    ended = await world.runner("a").run()
    assert (ended.status, ended.steps[STEP].document_version) == (ExecutionStatus.COMPLETED, 2)
