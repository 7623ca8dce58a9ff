"""One step: its inputs, its calls, and its results."""

from __future__ import annotations

from dataclasses import replace

import pytest
from uuid_utils.compat import uuid7

from executions.engine.domain.errors import ModelError
from executions.engine.domain.events import EventType
from executions.engine.domain.execution import Document
from executions.engine.domain.states import CallKind, CallStatus, ExecutionStatus, FailureCode, StepStatus
from executions.engine.prompting.origin import brief_hash, step_hash
from tests.factories.engine import SCHEMA, World, definition, document, invalid, question, reply
from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.parser import parse_definition


def of_scope() -> WorkflowDefinition:
    """Return a workflow that reads the scope's `charter`."""
    return parse_definition(
        {
            "id": "report",
            "name": "Report",
            "description": "Makes reports.",
            "scope_documents": ["charter"],
            "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
            "steps": [
                {
                    "id": "one",
                    "name": "One",
                    "role": "writer",
                    "task": "Write.",
                    "inputs": ["charter"],
                    "produces": "one",
                    "output_schema": SCHEMA,
                }
            ],
        }
    )


async def test_a_step_reads_the_newest_version_of_the_scopes_document_and_pins_it() -> None:
    world = await World(of_scope()).start()
    scope_id = (await world.now()).scope.id
    first = Document(
        id=uuid7(),
        scope_id=scope_id,
        type="charter",
        version=1,
        title="Charter",
        content={"title": "The old charter"},
        schema={},
        execution_id=None,
        step_id=None,
        created_at=world.ports.clock.now(),
    )
    await world.documents.save(first)
    await world.documents.save(replace(first, version=2, content={"title": "The new charter"}))
    execution = await world.run()
    assert "The new charter" in world.asked[0].prompt
    assert "The old charter" not in world.asked[0].prompt
    [pin] = execution.steps["one"].input_versions
    assert (pin.type, pin.document_id, pin.version) == ("charter", first.id, 2)
    [made] = world.documents.versions[scope_id, "one"]
    assert made.provenance["inputs"] == [{"type": "charter", "document_id": str(first.id), "version": 2}]


async def test_a_step_whose_input_is_missing_fails_and_says_which() -> None:
    world = await World(of_scope()).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.FAILED
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.INTERNAL
    assert "'charter'" in execution.failure.message
    assert world.events("one") == ["step_started", "step_failed"]
    assert not world.asked
    assert not world.calls()


async def test_a_document_tells_where_it_comes_from() -> None:
    asking = definition({"id": "one", "clarification": {}})
    world = await World(asking, {"one": [question(), invalid(), document()]}).start()
    await world.run()
    await world.answer("one", {"How many?": "Twelve"})
    execution = await world.run("b")
    [made] = world.documents.versions[execution.scope.id, "one"]
    assert (made.execution_id, made.step_id, made.title) == (execution.id, "one", "A title")
    assert made.provenance == {
        "workflow_id": "report",
        "workflow_version": 1,
        "role": "Writer",
        "model": "scripted:standard",
        "attempt": 3,
        "inputs": [],
        "answers": [
            {
                "question_id": "one.1.1",
                "round": 1,
                "question": "How many?",
                "answer": "Twelve",
                "answered_by": "ann",
                "answered_at": "2026-01-01T00:00:00.000Z",
            }
        ],
        "rehearsal": False,
        "request_hash": world.asked[-1].request_hash,
        "origin": {
            "workflow_id": "report",
            "step_id": "one",
            "step_hash": step_hash(asking, asking.steps[0]),
            "brief_hash": brief_hash("The brief."),
        },
    }


async def test_what_the_rehearsal_model_wrote_says_so() -> None:
    rehearsed = document().model_copy(update={"provider": "rehearsal"})
    world = await World(script={"one": [rehearsed]}).start()
    execution = await world.run()
    assert world.documents.versions[execution.scope.id, "one"][0].provenance["rehearsal"] is True
    assert world.documents.versions[execution.scope.id, "two"][0].provenance["rehearsal"] is False


async def test_every_call_is_in_the_books_with_what_was_sent() -> None:
    world = await World(script={"one": [invalid(), document()]}).start()
    await world.run()
    rows = [(key.step_id, key.attempt, key.kind, key.ordinal) for key in world.ledger.rows]
    assert rows == [
        ("one", 1, CallKind.GENERATE, 1),
        ("one", 2, CallKind.REMEDIATE, 1),
        ("two", 1, CallKind.GENERATE, 1),
    ]
    assert [call.request_hash for call in world.ledger.rows.values()] == [asked.request_hash for asked in world.asked]
    assert all(call.status is CallStatus.COMMITTED and call.finished_at for call in world.ledger.rows.values())


async def test_a_call_is_announced_before_it_is_made() -> None:
    seen: list[list[tuple[str, str]]] = []
    world = World()

    async def look(_request: object) -> object:
        seen.append(world.calls())
        return document()

    world.script = {"one": [look]}  # type: ignore[list-item]
    await world.start()
    await world.run()
    assert seen == [[("one", "pending")]]


async def test_a_step_that_may_ask_does_so_five_questions_at_a_time_and_three_times_at_most() -> None:
    world = await World(definition({"id": "one", "clarification": {}}), {"one": [question()] * 4}).start()
    for number in range(3):
        await world.run(f"worker-{number}")
        await world.answer("one", {f"one.{number + 1}.1": "Twelve"})
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert [request.max_questions for request in world.asked] == [5, 5, 5, 0, 0]


async def test_a_step_asks_as_often_as_it_may_and_not_once_more() -> None:
    asking = definition({"id": "one", "clarification": {"max_rounds": 2, "max_questions": 3}})
    script = [question("First?"), question("Second?"), question("Third?"), document()]
    world = await World(asking, {"one": [*script]}).start()
    await world.run()
    await world.answer("one", {"one.1.1": "yes"})
    await world.run("b")
    await world.answer("one", {"one.2.1": "no"})
    execution = await world.run("c")
    assert execution.status is ExecutionStatus.COMPLETED
    assert [request.max_questions for request in world.asked] == [3, 3, 0, 0]
    assert "ask_clarification" not in world.asked[2].instructions
    assert [asked.number for asked in execution.steps["one"].rounds] == [1, 2]
    assert "no tool 'ask_clarification'" in world.asked[3].prompt


async def test_more_questions_than_allowed_are_sent_back() -> None:
    asking = definition({"id": "one", "clarification": {"max_questions": 1}})
    many = question()
    arguments = {"questions": [{"text": "First?"}, {"text": "Second?"}]}
    many = many.model_copy(update={"tool_calls": (many.tool_calls[0].model_copy(update={"arguments": arguments}),)})
    world = await World(asking, {"one": [many, document()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert "1 to 1 questions" in world.asked[1].prompt


async def test_invalid_outputs_are_counted_anew_after_answers() -> None:
    asking = definition({"id": "one", "clarification": {}, "max_attempts": 2})
    world = await World(asking, {"one": [invalid(), question(), invalid(), document()]}).start()
    await world.run()
    await world.answer("one", {"one.1.1": "Twelve"})
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.steps["one"].attempt == 4


async def test_the_last_violations_stay_on_a_step_that_failed_by_them() -> None:
    world = await World(definition({"id": "one", "max_attempts": 1}), {"one": [invalid()]}).start()
    execution = await world.run()
    step = execution.steps["one"]
    assert [violation.pointer for violation in step.violations] == ["/points", "/title"]
    assert step.failure is not None
    assert "/points" in step.failure.message


async def test_only_the_last_output_is_sent_back() -> None:
    worse = document().model_copy(
        update={"tool_calls": (document().tool_calls[0].model_copy(update={"arguments": {"title": "only"}}),)}
    )
    world = await World(script={"one": [invalid(), worse, document()]}).start()
    await world.run()
    third = world.asked[2].prompt
    assert '"points" is a required property' in third
    assert "is shorter than" not in third
    assert '"points": []' not in third


async def test_a_text_instead_of_a_tool_is_sent_back_as_it_was() -> None:
    world = await World(script={"one": [reply(text="Sure, what should I write?"), document()]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.steps["one"].rounds == ()
    assert "Sure, what should I write?" in world.asked[1].prompt


@pytest.mark.parametrize("code", sorted(set(FailureCode) - {FailureCode.CONTEXT_TOO_LONG}))
async def test_a_model_error_fails_the_step_with_its_code_and_costs_nothing(code: FailureCode) -> None:
    world = await World(script={"one": [ModelError(code, "No\0 luck.")]}).start()
    execution = await world.run()
    assert execution.steps["one"].status is StepStatus.FAILED
    assert execution.failure is not None
    assert (execution.failure.code, execution.failure.message) == (code, "No\ufffd luck.")
    [call] = world.ledger.rows.values()
    assert (call.status, call.error) == (CallStatus.FAILED, "No\ufffd luck.")
    last = world.journal.log[world.execution_id][-1]
    assert last.event_type is EventType.COMPLETE
    assert last.data["totals"]["cost_usd"] == "0.0000000000"  # type: ignore[index,call-overload]
