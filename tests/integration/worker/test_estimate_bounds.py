"""The maximum of an estimate is an upper bound for any replies of the models."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from executions.engine.domain.calls import ModelReply, ToolCall, max_input_tokens
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from tests.factories.engine import World, definition, question, reply
from tests.integration.worker.test_estimates import dollars, of
from tests.support.fuzzing import examples

LONGEST = 2_000
BRIEF = "# Ferry\n\nThe town buys a ferry."
FLOW = definition(
    {"id": "asks", "clarification": {"max_rounds": 2}, "max_output_tokens": LONGEST},
    {
        "id": "reviewed",
        "inputs": ["asks"],
        "review": {"rubric": "Short, and true.", "max_output_tokens": LONGEST},
        "max_attempts": 2,
        "max_output_tokens": LONGEST,
    },
    {"id": "once", "inputs": ["reviewed"], "max_attempts": 1, "max_output_tokens": LONGEST},
)


def submitted(**arguments: JsonValue) -> ModelReply:
    """Return a reply that hands in as much as it may, when each byte is a token."""
    known = json.dumps({**arguments, "title": ""}, indent=1)
    return reply(ToolCall(name="submit_document", arguments={**arguments, "title": "x" * (LONGEST - len(known))}))


def verdict(said: str) -> ModelReply:
    """Return a verdict with as much to find as it may have."""
    findings: list[JsonValue] = [{"pointer": "/title", "detail": "y" * (LONGEST - 200)}]
    return reply(ToolCall(name="submit_document", arguments={"verdict": said, "findings": findings}))


REPLIES = {
    "valid": submitted(points=["a"]),
    "invalid": submitted(points=[]),
    "unclear": submitted(verdict="who knows"),
    "revise": verdict("needs_revision"),
    "satisfied": verdict("satisfied"),
    "ask": question("Which ferry?"),
}
WORST = (
    ["invalid", "invalid", "ask", "invalid", "invalid", "ask", "invalid", "invalid", "valid"],
    ["valid", "unclear", "unclear", "revise", "valid", "unclear", "unclear", "satisfied"],
)
said = st.lists(st.sampled_from(sorted(REPLIES)), max_size=12)


async def ran(asks: list[str], reviewed: list[str]) -> tuple[World, Execution]:
    """Return the world in which models have replied so, and people have answered what they were asked."""
    script = {"asks": asks, "reviewed": reviewed, "once": ["valid"]}
    world = World(FLOW, {step: [REPLIES[each] for each in replies] for step, replies in script.items()})
    await world.start(BRIEF)
    execution = await world.run()
    while WaitingOn.CLARIFICATION in execution.waiting_on:
        await world.answer("asks", {"Which ferry?": "The second"})
        execution = await world.run()
    return world, execution


@given(said, said)
@example(*WORST)
@settings(max_examples=examples(60), deadline=None)
def test_no_run_takes_more_than_the_most(asks: list[str], reviewed: list[str]) -> None:
    world, execution = asyncio.run(ran(asks, reviewed))
    assert execution.ended
    for step in of(FLOW, brief=BRIEF):
        asked = [request for request in world.asked if request.step_id == step.step_id]
        costs = [dollars("", max_input_tokens(each), each.max_output_tokens, True) for each in asked]
        assert step.cost_usd is not None
        assert len(asked) <= step.calls.high
        assert sum(max_input_tokens(each) for each in asked) <= step.input_tokens.high
        assert sum(each.max_output_tokens for each in asked) <= step.output_tokens.high
        assert sum(each for each in costs if each is not None) <= step.cost_usd.high


def test_as_many_calls_as_the_most_can_be_made() -> None:
    world, execution = asyncio.run(ran(*WORST))
    assert execution.status is ExecutionStatus.COMPLETED
    made = Counter(request.step_id for request in world.asked)
    assert made == {step.step_id: int(step.calls.high) for step in of(FLOW, brief=BRIEF)}
