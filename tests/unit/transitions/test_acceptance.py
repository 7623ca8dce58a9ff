"""A document that waits for a person: its dependents wait too, and a decision takes effect once."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import JsonValue

from common.errors import NotFound, VersionConflict
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision, PassageComment, Revision
from executions.engine.domain.calls import ModelRequest
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import ModelError, NotWaiting
from executions.engine.domain.execution import Document
from executions.engine.domain.states import CallKind, ExecutionStatus, FailureCode, StepStatus, WaitingOn
from executions.engine.transitions import acceptance, core
from tests.factories.collections import collection, items, over
from tests.factories.engine import Gate, Reply, World, definition, document, invalid, question

GATED = definition({"id": "one", "acceptance": {"instructions": "Is it true?"}}, {"id": "two", "inputs": ["one"]})
BESIDE = definition({"id": "one", "acceptance": {}}, {"id": "two", "inputs": ["one"]}, {"id": "other"})


def told(world: World) -> list[str]:
    """Return the events so far."""
    return [event.event_type for event in world.journal.log[world.execution_id]]


async def test_what_depends_on_a_document_waits_until_it_is_accepted() -> None:
    world = await World(GATED).start()
    waiting = await world.run()
    assert (waiting.status, waiting.waiting_on) == (ExecutionStatus.WAITING, (WaitingOn.ACCEPTANCE,))
    assert waiting.steps["two"].status is StepStatus.PENDING
    assert waiting.steps["one"].document_version == 1
    assert told(world)[-2:] == ["acceptance_needed", "execution_waiting"]
    going_on = await world.review(AcceptanceAction.ACCEPT, comment="Fine.")
    assert going_on.status is ExecutionStatus.RUNNING
    assert told(world)[-3:] == ["acceptance_decided", "execution_resumed", "step_completed"]
    completed = world.journal.log[world.execution_id][-1]
    assert completed.data["cost_usd"] == "0.0100000000"
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]


async def test_a_last_document_that_is_accepted_completes_the_execution_at_once() -> None:
    world = await World(definition({"id": "one", "acceptance": {}})).start()
    await world.run()
    execution = await world.review(AcceptanceAction.ACCEPT)
    assert execution.status is ExecutionStatus.COMPLETED
    assert told(world)[-1] == "complete"


async def test_a_rejected_document_fails_its_step_with_the_reason() -> None:
    world = await World(GATED).start()
    await world.run()
    execution = await world.review(AcceptanceAction.REJECT, comment="Not what we do.")
    assert execution.status is ExecutionStatus.FAILED
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.REJECTED
    assert "ann rejected version 1 of the document: Not what we do." in execution.failure.message
    assert execution.steps["two"].status is StepStatus.SKIPPED


async def test_a_request_for_changes_is_one_more_remediation_with_the_output_and_the_comment() -> None:
    world = await World(GATED, {"one": [document("First"), document("Second")]}).start()
    await world.run()
    going_on = await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    assert (going_on.status, going_on.steps["one"].status) == (ExecutionStatus.RUNNING, StepStatus.REMEDIATING)
    waiting = await world.run("b")
    assert waiting.waiting_on == (WaitingOn.ACCEPTANCE,)
    step = waiting.steps["one"]
    assert (step.attempt, step.document_version, step.violations) == (2, 2, ())
    assert [key.kind for key in world.ledger.rows] == [CallKind.GENERATE, CallKind.REMEDIATE]
    prompt = world.asked[-1].prompt
    assert "asks for changes" in prompt
    assert "First" in prompt
    assert "Name the costs." in prompt
    await world.review(AcceptanceAction.ACCEPT, version=2)
    execution = await world.run("c")
    assert execution.status is ExecutionStatus.COMPLETED
    [pin] = execution.steps["two"].input_versions
    assert pin.version == 2
    [made] = [each for each in await world.documents.list_by_scope(execution.scope.id) if each.type == "one"]
    assert [each["comment"] for each in made.provenance["decisions"]] == ["Name the costs."]  # type: ignore[union-attr,index,call-overload]


async def test_what_is_worked_over_may_be_invalid_as_often_as_anything_else() -> None:
    replies: list[Reply] = [invalid(), invalid(), document("First"), invalid(), invalid(), document("Second")]
    world = await World(GATED, {"one": replies}).start()
    await world.run()
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    waiting = await world.run("b")
    assert waiting.steps["one"].document_version == 2
    assert all("Name the costs." in request.prompt for request in world.asked[3:])


async def test_a_runner_that_is_lost_while_a_document_is_worked_over_is_followed_by_one_that_asks_the_same() -> None:
    gate = Gate(document("Second"))
    world = await World(GATED, {"one": [document("First"), gate, document("Third")]}).start()
    await world.run()
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    lost = asyncio.create_task(world.runner("b").run())
    await gate.under_way()
    waiting = await world.run("c")
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    assert waiting.steps["one"].document_version == 2
    assert world.asked[-1].prompt == world.asked[-2].prompt


async def test_what_is_to_be_worked_over_is_taken_up_after_a_step_whose_end_told_of_it() -> None:
    line = definition(
        {"id": "one", "acceptance": {}}, {"id": "other"}, {"id": "next", "inputs": ["other"]}, max_parallel=2
    )
    other, following = Gate(document("Other")), Gate(document("Next"))
    world = await World(line, {"other": [other], "next": [following]}).start()
    running = asyncio.create_task(world.runner().run())
    await other.under_way()
    while (await world.now()).steps["one"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    other.opened.set()  # without a call of refresh()
    await following.under_way()
    while (await world.now()).steps["one"].document_version != 2:
        await asyncio.sleep(0)
    await world.review(AcceptanceAction.ACCEPT, version=2)
    following.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED


async def test_a_runner_at_work_takes_up_what_is_to_be_worked_over() -> None:
    gate = Gate(document("Other"))
    world = await World(BESIDE, {"other": [gate]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await gate.under_way()
    while (await world.now()).steps["one"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    await runner.refresh()
    while (await world.now()).steps["one"].document_version != 2:
        await asyncio.sleep(0)
    await world.review(AcceptanceAction.ACCEPT, version=2)
    await runner.refresh()
    gate.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED


async def test_a_decision_names_the_version_that_was_read() -> None:
    world = await World(GATED, {"one": [document("First"), document("Second")]}).start()
    await world.run()
    with pytest.raises(VersionConflict):
        await world.review(AcceptanceAction.ACCEPT, version=2)
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name the costs.")
    with pytest.raises(NotWaiting):
        await world.review(AcceptanceAction.ACCEPT, version=1)
    await world.run("b")
    with pytest.raises(VersionConflict):
        await world.review(AcceptanceAction.ACCEPT, version=1)
    with pytest.raises(NotWaiting):
        await world.review(AcceptanceAction.ACCEPT, step_id="two")
    with pytest.raises(NotFound):
        await world.review(AcceptanceAction.ACCEPT, step_id="three")


async def test_the_steps_over_a_collection_come_with_its_acceptance() -> None:
    gated = definition(
        {"id": "epics", "output_schema": collection("epics"), "acceptance": {}},
        {"id": "design", "for_each": over("epics", "epic"), "acceptance": {}},
    )
    world = await World(gated, {"epics": [items("epics", "pay", "ship")]}).start()
    assert set((await world.run()).steps) == {"epics"}
    accepted = await world.review(AcceptanceAction.ACCEPT, step_id="epics")
    assert set(accepted.steps) == {"epics", "design@pay", "design@ship"}
    assert (await world.run("b")).waiting_on == (WaitingOn.ACCEPTANCE,)
    assert (await world.review(AcceptanceAction.ACCEPT, step_id="design@pay")).status is ExecutionStatus.WAITING
    assert (await world.review(AcceptanceAction.ACCEPT, step_id="design@ship")).status is ExecutionStatus.COMPLETED


async def test_a_retry_waits_for_an_open_decision_again_and_buys_nothing() -> None:
    world = await World(GATED).start()
    await world.run()
    for _ in range(2):
        await world.decide(lambda execution, context: core.cancel(execution, context=context))
        again = await world.retry()
        assert (again.status, again.waiting_on) == (ExecutionStatus.WAITING, (WaitingOn.ACCEPTANCE,))
        retried, needed, waiting = world.journal.log[world.execution_id][-3:]
        assert [each.event_type for each in (retried, waiting)] == ["execution_retried", "execution_waiting"]
        assert (needed.event_type, needed.step_id) == ("acceptance_needed", "one")
        assert (needed.data["document_version"], needed.data["title"]) == (1, "Title of one")
    await world.review(AcceptanceAction.ACCEPT)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]


async def test_a_retry_after_a_rejection_makes_the_document_again_with_what_was_said() -> None:
    world = await World(GATED, {"one": [document("First"), document("Second")]}).start()
    await world.run()
    await world.review(AcceptanceAction.REJECT, comment="Not what we do.")
    await world.retry()
    waiting = await world.run("b")
    assert (waiting.status, waiting.steps["one"].document_version) == (ExecutionStatus.WAITING, 2)
    assert "Not what we do." in world.asked[-1].prompt


async def edit(world: World) -> Document:
    """Let a person edit the document that waits."""
    step, documents = (await world.now()).steps["one"], world.documents
    assert step.document_id is not None
    before = await documents.get(step.document_id)
    content: dict[str, JsonValue] = {"title": "By Ann", "points": ["by hand"]}
    after = replace(before, version=before.version + 1, title="By Ann", content=content, author_name="ann")
    after = replace(after, execution_id=None)
    edited = await documents.save(after)
    await world.decide(lambda execution, context: acceptance.follow_edit(execution, edited, context=context))
    return edited


async def comment(world: World, read: Document, pointer: str) -> None:
    """Ask for changes at one passage alone."""
    said = AcceptanceDecision(
        decision=AcceptanceAction.REQUEST_CHANGES,
        document_version=read.version,
        comments=(PassageComment(pointer=pointer, text="a better word"),),
        only_commented=True,
        decided_by="ann",
        decided_at=world.ports.clock.now(),
    )
    target = acceptance.AcceptanceContext(read=read, final=read, definition=world.definition)
    await world.decide(
        lambda execution, context: acceptance.decide(execution, "one", said, target=target, context=context)
    )


@pytest.mark.parametrize("end", ["failed", "cancelled", "asked"])
async def test_a_revision_begins_again_with_the_version_that_was_read(end: str) -> None:
    gate = Gate(document("Too late"))
    ended: dict[str, Reply] = {
        "failed": ModelError(FailureCode.PROVIDER_REJECTED, "No."),
        "cancelled": gate,
        "asked": question(),
    }
    revised = document("By Ann")
    world = World(definition({"id": "one", "acceptance": {}, "clarification": {"max_rounds": 1}}))
    world.script = {"one": [document("First"), ended[end], document("From scratch"), revised]}
    await world.start()
    await world.run()
    edited = await edit(world)
    await comment(world, edited, "/points/0")
    running = asyncio.create_task(world.runner("b").run())
    if end == "cancelled":
        await gate.under_way()
        await world.cancel()
        gate.opened.set()
    await running
    await (world.answer("one", {"How many?": "Two."}) if end == "asked" else world.retry())
    waiting = await world.run("c")
    step = waiting.steps["one"]
    assert (step.status, step.document_version) == (StepStatus.WAITING, 3)
    begun, sent_back = world.asked[-2:]
    assert "By Ann" in begun.prompt
    assert "a better word" in begun.prompt
    assert "From scratch" in sent_back.prompt  # it has changed what had to stay
    head = await world.documents.get(edited.id)
    assert (head.version, head.title) == (3, "By Ann")


async def test_a_model_that_changes_what_had_to_stay_is_shown_the_version_to_keep() -> None:
    world = await World(GATED, {"one": [document("First"), document("Other"), document("First")]}).start()
    step = (await world.run()).steps["one"]
    assert step.document_id is not None
    await comment(world, await world.documents.get(step.document_id), "/points/0")
    waiting = await world.run("b")
    assert waiting.steps["one"].document_version == 2
    revised, corrected = (request.prompt for request in world.asked[1:])
    assert "Change only the passages" in revised
    kept = corrected.partition('<data kind="version"')[2]
    assert '"title": "First"' in kept  # the output to correct has the other title
    assert "Change only the passages" in kept
    assert [each.request.comments[0].pointer for each in map(revision_of, world.asked[1:])] == ["/points/0"] * 2


def revision_of(request: ModelRequest) -> Revision:
    assert request.revision is not None
    return request.revision


async def test_a_retry_after_changes_elsewhere_names_them_to_the_model() -> None:
    replies: list[Reply] = [document("First"), *(document("Other") for _ in range(3)), document("First")]
    world = await World(GATED, {"one": replies}).start()
    step = (await world.run()).steps["one"]
    assert step.document_id is not None
    await comment(world, await world.documents.get(step.document_id), "/points/0")
    failed = await world.run("b")
    assert failed.failure is not None
    assert failed.failure.code is FailureCode.VALIDATION_EXHAUSTED
    assert "`from_step`" in failed.failure.message
    before = world.asked[1].prompt
    retried = await world.retry()
    assert [each.code for each in retried.steps["one"].violations] == ["changes_requested", "changed_elsewhere"]
    waiting = await world.run("c")
    assert (waiting.status, waiting.steps["one"].document_version) == (ExecutionStatus.WAITING, 2)
    again = world.asked[-1].prompt
    assert again != before
    assert "what you changed before" in again
    assert "- at `/title`" in again
