"""A model reviews valid documents: it approves, returns them with findings, or the step gives up."""

from __future__ import annotations

from typing import Any

import pytest

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import VERDICT, FinishReason, ModelReply, ToolCall
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallKind, ExecutionStatus, FailureCode, StepStatus, WaitingOn
from executions.engine.testing.in_memory_models import InMemoryDrafts
from executions.engine.transitions.reviews import MAX_REVIEWS
from tests.factories.engine import Reply, World, definition, document, invalid, question, reply
from tests.factories.provider_outages import busy, clock, resume, too_long
from tests.factories.reviews import GIVEN_UP, NEEDS_REVISION, SATISFIED, verdict
from tests.unit.runtime.test_budgets import begun, give
from workflows.definitions.definition import DefinitionError, WorkflowDefinition

REVIEW = {"rubric": "Every point names who does it by when.", "model": "strong"}


def reviewed(**step: Any) -> WorkflowDefinition:
    """Return a line whose first step is reviewed."""
    return definition({"id": "one", "review": REVIEW, **step}, {"id": "two", "inputs": ["one"]})


async def after(*replies: Reply, brief: str = "The brief.", **step: Any) -> tuple[World, Execution]:
    """Return the world in which the first step got these replies."""
    world = await World(reviewed(**step), {"one": list(replies)}).start(brief)
    return world, await world.run()


def calls(world: World, step_id: str = "one") -> list[tuple[int, str, int]]:
    """Return (attempt, kind, ordinal) of the step's calls."""
    return [(key.attempt, key.kind.value, key.ordinal) for key in world.ledger.rows if key.step_id == step_id]


def told(world: World, event_type: str) -> list[dict[str, Any]]:
    return [dict(each.data) for each in world.journal.log[world.execution_id] if each.event_type == event_type]


async def test_what_passes_its_review_is_the_document() -> None:
    world, execution = await after(document("Fine"), SATISFIED)
    assert execution.status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1)]
    assert world.events("one") == ["step_started", "review_started", "review_completed", "step_completed"]
    [made] = world.documents.versions[execution.scope.id, "one"]
    assert made.title == "Fine"
    assert made.provenance["review"] == {"model": "scripted:strong", "verdict": "satisfied", "findings": []}
    assert made.provenance["request_hash"] == world.asked[0].request_hash
    [done] = told(world, "step_completed")[:1]
    assert done["cost_usd"] == "0.0200000000"


async def test_the_reviewer_sees_the_rubric_the_task_the_brief_and_the_document_and_cannot_ask() -> None:
    world, _ = await after(document("What </data> was <data> made"), SATISFIED, clarification={})
    asked = world.asked[1]
    assert (asked.model, asked.document_type, asked.max_questions) == ("scripted:strong", VERDICT, 0)
    assert "Every point names who does it by when." in asked.instructions
    assert "ask_clarification" not in asked.instructions
    assert "Write one." in asked.prompt
    assert "The brief." in asked.prompt
    assert "What &lt;/data> was &lt;data> made" in asked.prompt


async def test_what_was_found_goes_back_to_who_wrote_it() -> None:
    world, execution = await after(document("First"), NEEDS_REVISION, document("Second"), SATISFIED)
    assert execution.status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1), (2, "remediate", 1), (2, "review", 1)]
    mending = world.asked[2]
    assert mending.model == "scripted:standard"
    assert "A reviewer has read your last output" in mending.prompt
    assert "- at `/points/0`: No person is named." in mending.prompt
    assert '"First"' in mending.prompt
    found = {"pointer": "/points/0", "code": "review", "detail": "No person is named."}
    assert told(world, "review_completed")[0] == {"attempt": 1, "verdict": "needs_revision", "findings": [found]}
    assert told(world, "remediation_started") == [{"attempt": 2, "violations": [found]}]
    assert [each.title for each in world.documents.versions[execution.scope.id, "one"]] == ["Second"]


async def test_invalid_output_is_not_reviewed_and_counts_with_what_reviews_find() -> None:
    world, execution = await after(invalid(), document(), NEEDS_REVISION, invalid())
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED
    assert "invalid 3 times" in execution.failure.message
    assert calls(world) == [(1, "generate", 1), (2, "remediate", 1), (2, "review", 1), (3, "remediate", 1)]


async def test_what_the_reviewer_gives_up_fails_at_once() -> None:
    world, execution = await after(document(), GIVEN_UP)
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED
    assert execution.steps["one"].violations[0].detail == "No person is named."
    assert world.events("one")[-2:] == ["review_completed", "step_failed"]


async def test_a_person_decides_where_the_workflow_says_so() -> None:
    world, execution = await after(document("Nearly"), GIVEN_UP, on_exhausted="acceptance")
    assert execution.steps["one"].waits_for is WaitingOn.ACCEPTANCE
    [made] = world.documents.versions[execution.scope.id, "one"]
    review = made.provenance["review"]
    assert isinstance(review, dict)
    assert (made.title, review["verdict"]) == ("Nearly", "failed")
    assert world.events("one")[-2:] == ["review_completed", "acceptance_needed"]
    await world.review(AcceptanceAction.ACCEPT)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_a_person_gets_the_last_valid_document_when_the_last_output_was_none() -> None:
    replies = [document("First"), NEEDS_REVISION, document("Second"), NEEDS_REVISION, invalid()]
    world, execution = await after(*replies, on_exhausted="acceptance")
    assert execution.steps["one"].waits_for is WaitingOn.ACCEPTANCE
    [made] = world.documents.versions[execution.scope.id, "one"]
    assert (made.title, made.provenance["attempt"]) == ("Second", 2)


async def test_without_any_valid_document_there_is_nothing_to_decide() -> None:
    _, execution = await after(invalid(), invalid(), invalid(), on_exhausted="acceptance")
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED


async def test_what_people_have_sent_back_is_not_handed_in_again() -> None:
    replies = [document("Old"), GIVEN_UP, invalid(), invalid(), invalid()]
    world, _ = await after(*replies, on_exhausted="acceptance")
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name a person.")
    execution = await world.run("b")
    assert execution.steps["one"].status is StepStatus.FAILED
    assert len(world.documents.versions[execution.scope.id, "one"]) == 1


def test_only_what_is_reviewed_may_end_with_a_person() -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one", "on_exhausted": "acceptance"})
    assert [(each.pointer, each.code) for each in caught.value.errors] == [
        ("/steps/0/on_exhausted", "nothing_to_accept")
    ]


@pytest.mark.parametrize(
    "unclear",
    [
        verdict("perhaps"),
        verdict("needs_revision"),
        reply(text="It is fine."),
        question(),
        reply(ToolCall(name="submit_document", arguments={"verdict": "satisfied", "findings": [], "more": 1})),
    ],
)
async def test_a_review_that_is_no_verdict_is_asked_for_again(unclear: ModelReply) -> None:
    world, execution = await after(document(), unclear, SATISFIED)
    assert execution.status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1), (1, "review", 2)]
    assert "Your last output was not valid" in world.asked[2].prompt


async def test_reviews_that_never_say_anything_fail_the_step() -> None:
    world, execution = await after(document(), *[reply(text="Hm.")] * MAX_REVIEWS)
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED
    assert "No review gave a verdict" in execution.failure.message
    assert len(world.asked) == 1 + MAX_REVIEWS


async def test_a_review_that_is_cut_off_is_not_mended() -> None:
    _, execution = await after(document(), reply(finish=FinishReason.TRUNCATED))
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.OUTPUT_TRUNCATED
    assert execution.failure.message.startswith("Its review failed.")


async def test_a_reviewer_that_is_busy_is_asked_again_and_the_document_is_not_made_anew() -> None:
    world, execution = await after(document(), busy(), busy(600.0), SATISFIED)
    assert execution.status is ExecutionStatus.WAITING
    clock(world).advance(601)
    await resume(world)
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1), (1, "review", 2), (1, "review", 3)]
    assert world.events("one").count("review_started") == 1


async def test_a_reviewer_that_cannot_read_so_much_gets_less_and_the_document_stays_whole() -> None:
    world, execution = await after(document(), too_long(), SATISFIED, brief="The brief says so. " * 500)
    assert execution.status is ExecutionStatus.COMPLETED
    assert len(world.asked[2].prompt) < 0.7 * len(world.asked[1].prompt)
    assert "condensed" not in world.documents.versions[execution.scope.id, "one"][0].provenance


async def test_a_review_has_to_fit_the_budget_and_later_does() -> None:
    world = await begun({"max_calls": 1}, {"one": [document("Once"), SATISFIED]}, of=reviewed())
    execution = await world.run()
    assert execution.waiting_on == (WaitingOn.BUDGET,)
    assert calls(world) == [(1, "generate", 1)]
    await give(world, max_calls=9)
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1)]
    assert world.documents.versions[execution.scope.id, "one"][0].title == "Once"


async def test_an_unclear_review_that_the_budget_stopped_is_asked_for_again_with_what_was_wrong() -> None:
    world = await begun({"max_calls": 2}, {"one": [document(), verdict("perhaps"), SATISFIED]}, of=reviewed())
    assert (await world.run()).waiting_on == (WaitingOn.BUDGET,)
    await give(world, max_calls=9)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert calls(world) == [(1, "generate", 1), (1, "review", 1), (1, "review", 2)]
    assert "Your last output was not valid" in world.asked[2].prompt


async def test_after_the_review_a_person_may_still_have_to_accept() -> None:
    world, execution = await after(document(), SATISFIED, acceptance={})
    assert execution.steps["one"].waits_for is WaitingOn.ACCEPTANCE
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Shorter.")
    world.script["one"] = [document("Shorter"), SATISFIED]
    execution = await world.run("b")
    assert execution.steps["one"].waits_for is WaitingOn.ACCEPTANCE
    assert calls(world)[2:] == [(2, "remediate", 1), (2, "review", 1)]


async def test_what_is_made_with_answers_is_of_a_kind_of_its_own() -> None:
    world, _ = await after(question(), clarification={})
    world.script["one"] = [document(), SATISFIED]
    await world.answer("one", {"How many?": "Twelve"})
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert [kind for _, kind, _ in calls(world)] == [CallKind.GENERATE, CallKind.CLARIFY, CallKind.REVIEW]


async def test_the_text_of_a_reviewer_is_not_shown() -> None:
    world, _ = await after(document(), SATISFIED)
    assert isinstance(world.ports.drafts, InMemoryDrafts)
    assert {key.kind for key in world.ports.drafts.written if key.step_id == "one"} == {CallKind.GENERATE}


async def test_what_a_person_sends_back_is_what_that_person_has_read() -> None:
    replies = [document("Valid once"), NEEDS_REVISION, invalid(), invalid()]
    world, _ = await after(*replies, on_exhausted="acceptance")
    await world.review(AcceptanceAction.REQUEST_CHANGES, comment="Name a person.")
    world.script["one"] = [document("Better"), SATISFIED]
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    [asked] = [each for each in world.asked if "A person has read your last output" in each.prompt]
    assert '"title": "Valid once"' in asked.prompt
    assert "Name a person." in asked.prompt
