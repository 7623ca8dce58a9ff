"""Shared prompt prefixes are sent byte for byte equal, with cache markers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.states import ExecutionStatus
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options, Output
from executions.llm.rehearsal.model import RehearsalModel
from tests.factories.collections import collection, items, over
from tests.factories.engine import World, definition
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.text_listeners import ignore
from workflows.definitions.definition import WorkflowDefinition
from workflows.loader import CATALOG, load_folder

BRIEF = Path("examples/briefs/tool-library.md").read_text(encoding="utf-8")


def strategy(model: str) -> WorkflowDefinition:
    """Return the workflow that ships, every step of it asking the same model, and none asking people."""
    flow = load_folder(CATALOG / "strategy-document")
    steps = [step.model_copy(update={"model": model, "clarification": None}) for step in flow.steps]
    return flow.model_copy(update={"steps": tuple(steps)})


async def asked(flow: WorkflowDefinition) -> list[ModelRequest]:
    """Return the requests of a run, in order."""
    world = World(flow)
    rehearsal = RehearsalModel(latency_seconds=0)

    async def reply(request: ModelRequest) -> ModelReply:
        return await rehearsal.complete(request, ignore)

    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.script = reply
    await world.start(BRIEF)
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    return list(world.asked)


async def test_the_second_and_later_steps_reuse_what_the_steps_before_them_began_with() -> None:
    requests = await asked(strategy("p:m"))
    assert [request.step_id for request in requests] == ["discovery", "requirements", "architecture", "review"]
    assert len({request.instructions for request in requests}) == 1
    whole, cached = 0, 0
    for number, request in enumerate(requests):
        sent = request.instructions + request.prompt
        shared = "\n\n".join(request.shared)
        assert request.prompt.startswith(shared)
        if number:
            before = requests[number - 1]
            kept = "\n\n".join(before.shared)
            assert request.prompt.startswith(kept)
            assert before.materials[: len(before.shared)] == request.materials[: len(before.shared)]
            cached += len(request.instructions) + len(kept)
        whole += len(sent)
    # No other step reads the last input of the last step.
    assert [len(request.shared) for request in requests] == [1, 2, 3, 3]
    assert 0.36 < cached / whole < 0.42  # docs/models.md says 38 percent


async def test_steps_that_ask_other_models_mark_what_those_of_their_own_read() -> None:
    flow = strategy("p:m")
    steps = [step.model_copy(update={"model": "p:other"}) if step.id == "review" else step for step in flow.steps]
    requests = await asked(flow.model_copy(update={"steps": tuple(steps)}))
    assert [len(request.shared) for request in requests] == [1, 2, 2, 0]


async def test_items_share_all_that_is_not_theirs() -> None:
    flow = definition(
        {"id": "vision"},
        {"id": "epics", "inputs": ["vision"], "output_schema": collection("epics"), "model": "p:other"},
        {"id": "design", "inputs": ["vision"], "for_each": over("epics", "epic")},
        {"id": "cost", "inputs": ["design", "vision"], "for_each": over("epics", "epic"), "model": "p:third"},
    )
    world = await World(flow, {"epics": [items("epics", "a", "b")]}).start()
    await world.run()
    shared = {request.step_id: request.shared for request in world.asked}
    assert shared["design@a"] == shared["design@b"]
    assert [len(shared[step]) for step in ("vision", "epics", "design@a", "cost@a")] == [1, 0, 2, 3]
    assert "vision" in shared["cost@a"][1]  # in the order of the line, whatever the step says


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server that keeps what it was sent."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with model_server(Answer()) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        await forget_models()
        yield server
        await forget_models()


def up_to_the_mark(body: dict[str, Any]) -> str:
    """Return what a provider keeps of a request: tools, system and the blocks before the mark, and the mark."""
    [message] = body["messages"]
    marked = [bool(block.get("cache_control")) for block in message["content"]]
    kept = [block["text"] for block in message["content"][: marked.index(True) + 1]]
    return json.dumps([body["tools"], body["system"], kept])


async def test_anthropic_is_sent_the_same_bytes_up_to_a_mark(provider: Any) -> None:
    for request in await asked(strategy("anthropic:claude-sonnet-5-5")):
        await providers.ProviderModel(Options()).complete(request, ignore)
    kept = [up_to_the_mark(body) for body in provider.asked]
    assert len(kept) == 4
    for before, after in pairwise(kept):
        assert after.startswith(before.removesuffix("]]"))
    for body, request in zip(provider.asked, await asked(strategy("anthropic:claude-sonnet-5-5")), strict=True):
        [message] = body["messages"]
        assert "".join(block["text"] for block in message["content"]) == request.prompt


@pytest.mark.parametrize("output", [Output.TOOLS, Output.NATIVE])
async def test_without_tools_in_common_nothing_is_marked(provider: Any, output: Output) -> None:
    request = (await asked(strategy("anthropic:claude-sonnet-5-5")))[1]
    await providers.ProviderModel(Options(output=output)).complete(request, ignore)
    assert "cache_control" not in json.dumps(provider.asked)
