"""The prepared examples, each through the real engine to its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client
from pydantic import JsonValue

from access.services import ensure_user, issue_token
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.runtime.runner import ExecutionRunner
from executions.llm.rehearsal.prepared_replies import BRIEFS, Example, examples
from tests.factories.callers import Caller

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]

EXAMPLES = [example for found in examples().values() for example in found]
EVERY_ANSWER = [
    pytest.param(example, answer, id=f"{example.name}-{answer}".rstrip("-"))
    for example in EXAMPLES
    for answer in example.answers.values()
]
DELIVERY_ANSWER = "screened by an assistant on the telephone"
BY_NAME = {example.name: example for example in EXAMPLES}
STRATEGY = BY_NAME["tool-library/strategy-document"]
FEE = "introduce a yearly membership fee"


class Session:
    """A person who starts an execution, and the worker that carries it on."""

    def __init__(self, who: Caller) -> None:
        self.who = who
        self.execution_id = ""
        self.answered = self.decided = 0
        self.change_request = ""  # about the first document that waits

    @classmethod
    async def begin(cls) -> Session:
        """Return a session with a catalog."""

        def make() -> Session:
            call_command("load_catalog", verbosity=0)
            user = ensure_user(name="ada")
            return cls(Caller(user, issue_token(user)[1], Client()))

        return await in_thread(make)

    async def get(self, path: str, **query: str) -> Any:
        """Read over the API."""
        return (await in_thread(self.who.get, path, query)).json()

    async def post(self, path: str, body: object) -> Any:
        """Write over the API."""
        response = await in_thread(self.who.post, path, body)
        assert response.status_code in {200, 201}, response.content
        return response.json()

    async def run(self, workflow_id: str, brief: str, answer: str) -> dict[str, Any]:
        """Start a workflow, give the answer to every question, accept every document, and return how it ended."""
        body = {"workflow_id": workflow_id, "scope_type": "project", "scope_id": "example", "input": brief}
        self.execution_id = (await self.post("/executions/", body))["execution_id"]
        path = f"/executions/{self.execution_id}"
        while True:
            await ExecutionRunner(build_ports(), execution_id=UUID(self.execution_id), worker="tests").run()
            now: dict[str, Any] = await self.get(path)
            if now["status"] != "waiting":
                return now
            for step in (await self.get(f"{path}/steps", status="waiting"))["data"]:
                await self._settle(f"{path}/steps/{step['step_id']}", step, answer)

    async def _settle(self, path: str, step: dict[str, Any], answer: str) -> None:
        if step["document"] is None:
            answers = {each["id"]: answer for each in step["clarification"]["questions"]}
            self.answered += len(answers)
            await self.post(f"{path}/clarification", {"answers": answers})
            return
        self.decided += 1
        comment, self.change_request = self.change_request, ""
        act = "request_changes" if comment else "accept"
        decision = {"decision": act, "comment": comment, "document_version": step["document"]["version"]}
        await self.post(f"{path}/acceptance", decision)

    async def documents(self) -> list[dict[str, Any]]:
        """Return the documents that were made."""
        listed = (await self.get("/documents/", execution_id=self.execution_id, limit="100"))["data"]
        return [await self.get(f"/documents/{each['id']}") for each in listed]


def _brief_of(example: Example) -> str:
    return (BRIEFS / f"{example.name.partition('/')[0]}.md").read_text(encoding="utf-8")


def _steps_with_a_decision(example: Example) -> set[str]:
    return {step.id for step in example.definition.steps if step.acceptance is not None}


@pytest.mark.parametrize(("example", "answer"), EVERY_ANSWER)
async def test_an_example_runs_to_its_end_and_no_text_is_made_up(example: Example, answer: str) -> None:
    session = await Session.begin()
    ended = await session.run(example.definition.id, _brief_of(example), answer)
    assert (ended["status"], ended["cost_usd"]) == ("completed", "0.0000000000"), ended["error"]
    assert session.answered == (example.question is not None)
    assert (session.decided > 0) == bool(_steps_with_a_decision(example))
    made = await session.documents()
    names = {name for name in example.documents if not name.endswith(".changed")}
    assert len(made) == len(names)
    for each in made:
        assert each["provenance"]["model"] == f"prepared:{example.name}", each["title"]
        assert (each["prepared"], each["rehearsal"]) == (True, False)


def _texts(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "\n".join(map(_texts, value.values()))
    return "\n".join(map(_texts, value)) if isinstance(value, list) else str(value)


async def test_documents_follow_the_answer() -> None:
    texts = {}
    for answer in STRATEGY.answers.values():
        session = await Session.begin()
        await session.run("strategy-document", _brief_of(STRATEGY), answer)
        texts[answer] = _texts([each["content"] for each in await session.documents()])
    fee, deposit = texts[FEE], texts["charge a deposit for each loan"]
    assert "28,200 EUR" in fee
    assert "28,200 EUR" not in deposit
    assert "3,800 EUR in cash lie in three branches" in deposit


async def test_requested_changes_have_a_prepared_version_too() -> None:
    session = await Session.begin()
    session.change_request = "Put what the practices need on a Monday morning first."
    example = BY_NAME["veterinary-practices/software-delivery"]
    ended = await session.run("software-delivery", _brief_of(example), DELIVERY_ANSWER)
    assert ended["status"] == "completed"
    [epics] = [each for each in await session.documents() if each["type"] == "epics"]
    assert (epics["version"], epics["prepared"]) == (2, True)
    assert [each["id"] for each in epics["content"]["epics"]] == ["epic-2", "epic-1", "epic-3"]


@pytest.mark.parametrize("change", ["another line", "another workflow"])
async def test_any_other_brief_or_workflow_is_rehearsed_and_says_so(change: str) -> None:
    session = await Session.begin()
    brief = _brief_of(STRATEGY) + ("\nThe tools are blue.\n" if change == "another line" else "")
    workflow = "meeting-minutes" if change == "another workflow" else "strategy-document"
    ended = await session.run(workflow, brief, FEE)
    assert ended["status"] == "completed"
    for each in await session.documents():
        assert each["provenance"]["model"] == "rehearsal:rehearsal"
        assert each["rehearsal"] is True
        assert "prepared" not in each["provenance"]


async def test_line_ends_of_another_system_do_not_matter() -> None:
    session = await Session.begin()
    await session.run("strategy-document", _brief_of(STRATEGY).replace("\n", "\r\n").rstrip(), FEE)
    assert {each["provenance"]["model"] for each in await session.documents()} == {f"prepared:{STRATEGY.name}"}
