"""docs/writing-workflows.md: its tutorial runs, and its reference is complete."""

from __future__ import annotations

import re
from pathlib import Path

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.llm.rehearsal.model import RehearsalModel
from tests.factories.engine import World
from tests.integration.llm.text_listeners import ignore
from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.docs import PARTS, reference
from workflows.loader import load_folder
from workflows.management.commands.workflow_reference import insert_reference

PAGE = Path("docs/writing-workflows.md").read_text(encoding="utf-8")
FOLDER = "workflows/catalog/press-release/"
_FILE = re.compile(rf"`{re.escape(FOLDER)}([^`]+)`:\n\n```[a-z]+\n(.*?)```", re.DOTALL)
BRIEF = "# Ferry\n\nThe town buys a second ferry. It costs 300,000 EUR and sails from May. Ms Ode, the mayor, says so."


async def test_the_tutorial_ends_with_a_workflow_that_runs(tmp_path: Path) -> None:
    files = dict(_FILE.findall(PAGE))
    assert sorted(files) == ["prompts/release.md", "schemas/facts.json", "schemas/release.json", "workflow.yaml"]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    world = World(load_folder(tmp_path))
    rehearsal = RehearsalModel(latency_seconds=0)

    async def reply(request: ModelRequest) -> ModelReply:
        return await rehearsal.complete(request, ignore)

    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.script = reply
    world.ports.models.estimated_cost_usd = None
    await world.start(BRIEF)
    execution = await world.run()
    assert execution.waiting_on == (WaitingOn.ACCEPTANCE,)
    await world.review(AcceptanceAction.ACCEPT, step_id="release")
    assert (await world.now()).status is ExecutionStatus.COMPLETED
    assert "Write a press-release of 200" in world.asked[-1].prompt


def test_the_reference_is_the_one_of_the_definition() -> None:
    assert insert_reference(PAGE) == PAGE, "run: python manage.py workflow_reference --into docs/writing-workflows.md"


def test_the_reference_has_every_part_and_says_something_of_every_field() -> None:
    parts = set(WorkflowDefinition.model_json_schema()["$defs"]) | {"WorkflowDefinition"}
    words = {"BriefPolicy", "JsonValue", "OnDeadline", "OnExhausted"}
    assert set(PARTS) == {name for name in parts if name[0].isupper()} - words
    assert "|  |" not in reference()
