"""What two people do in one scope, with a marker in every text that the first of both writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from access.models import ExternalAccount, Scope
from access.people.roles import give_role
from access.permissions import Role
from access.services import ensure_user, issue_token
from access.user import User
from documents.search.index import index_documents
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.domain.execution import Execution
from executions.engine.prompting.replies import ASK_CLARIFICATION, SUBMIT_DOCUMENT
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.models import StepDraft
from tests.factories import collections, reports
from tests.factories.callers import Caller
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

MARKER = "zzqmark"
NAME, EMAIL, FAMILY = "adaline", "adaline@example.org", "Okonkwo"
SCOPE = {"scope_type": "project", "scope_id": "alpha"}
_USAGE = reports.USAGE


def digest(*, asks: bool = False) -> Any:
    """Return a workflow that reads a document of the scope, and may ask once."""
    return parse_definition(
        {
            "id": "digest",
            "name": "Digest",
            "description": "Shortens the findings.",
            "scope_documents": ["findings"],
            "roles": {"analyst": {"name": "Analyst", "instructions": "You shorten."}},
            "steps": [
                {
                    "id": "shorten",
                    "name": "Shorten",
                    "role": "analyst",
                    "task": "Shorten it.",
                    "inputs": ["findings"],
                    "produces": "digest",
                    "output_schema": reports.SCHEMA,
                    "clarification": {"max_rounds": 1} if asks else None,
                }
            ],
        }
    )


def board() -> Any:
    """Return a workflow that makes a list of a document of the scope, and has two steps for each of its items."""
    over, role = collections.over("epics", "epic"), {"role": "analyst", "task": "Do it."}
    checked = {"for_each": over, "output_schema": reports.SCHEMA}
    listed = {"output_schema": collections.collection("epics")}
    return parse_definition(
        {
            "id": "board",
            "name": "Board",
            "description": "Plans.",
            "scope_documents": ["note"],
            "roles": {"analyst": {"name": "Analyst", "instructions": "You plan."}},
            "steps": [
                {"id": "plan", "name": "Plan", "inputs": ["note"], "produces": "epics", **role, **listed},
                {"id": "design", "name": "Design", "inputs": ["epics"], "produces": "design", **role, **checked},
                {"id": "check", "name": "Check", "inputs": ["design"], "produces": "check", **role, **checked},
            ],
        }
    )


def echo(*, asks: bool) -> Callable[[ModelRequest], Awaitable[ModelReply]]:
    """Return a model that repeats what it was given: in a question, in an invalid document, and in a valid one."""
    told: list[str] = []

    async def reply(request: ModelRequest) -> ModelReply:
        given = " ".join(each.text for each in request.materials)
        words = " ".join(word for word in given.split() if "#" not in word)  # citations of files
        heard = " ".join(word for word in words.split() if word.isalnum())[:200]
        arguments: Any = {"title": f"About {heard}"[:100], "points": [words]}
        tool, step = SUBMIT_DOCUMENT, request.step_id
        if asks and step == "research" and "asked" not in told:
            tool, arguments = ASK_CLARIFICATION, {"questions": [{"text": f"What of {heard}?"[:300]}]}
            told.append("asked")
        elif f"bad {step}" not in told:
            arguments = {"points": [words, 7]}
            told.append(f"bad {step}")
        return ModelReply(
            provider="scripted",
            model="writer-1",
            text=words,
            tool_calls=(ToolCall(name=tool, arguments=arguments),),
            usage=_USAGE,
            cost_usd=Decimal("0.0123"),
            latency_ms=120,
            raw={"said": words},
        )

    return reply


async def run(execution_id: str, model: ScriptedModelClient) -> Execution:
    """Carry an execution on, as a worker does."""
    ports = replace(build_ports(), models=model)
    return await ExecutionRunner(ports, execution_id=UUID(execution_id), worker="tests").run()


@dataclass
class Story:
    """The two people, and what they made."""

    adaline: Caller
    bob: Caller
    findings: str = ""
    digest: str = ""
    mine: str = ""
    ofbob: str = ""
    reader: str = ""

    async def send(self, who: Caller, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Send a request that succeeds, and return its answer."""
        send = getattr(who, method)
        response = await in_thread(lambda: send(path, body, **headers) if body is not None else send(path, **headers))
        assert response.status_code < 300, (path, response.content)
        return response.json() if response.content else None

    async def complete(self, who: Caller, workflow: str, brief: object, **more: Any) -> str:
        """Run a workflow to its end; Adaline answers its questions."""
        model = ScriptedModelClient(echo(asks=workflow == "report"))
        body = {"workflow_id": workflow, **SCOPE, "input": brief, **more}
        key = f"{workflow}-{who.user.get_username()}"
        started: str = (await self.send(who, "post", "/executions/", body, Idempotency_Key=key))["execution_id"]
        left = await run(started, model)
        if left.status == "waiting":
            path = f"/executions/{started}/steps/research/clarification"
            await self.send(self.adaline, "post", path, {"answers": {"research.1.1": f"By {MARKER} answer"}})
            left = await run(started, model)
        assert left.status == "completed", left.failure
        return started


async def people() -> Story:
    """Return both people. The first has all kinds of account data."""

    def make() -> Story:
        adaline = ensure_user(name=NAME, superuser=False)
        User.objects.filter(pk=adaline.pk).update(first_name=MARKER, last_name=FAMILY, email=EMAIL)
        adaline.refresh_from_db()
        ExternalAccount.objects.create(issuer="https://id.example.org", subject=f"{NAME}-7", user=adaline)
        issue_token(adaline, name=f"{MARKER} laptop")
        Client().force_login(adaline)
        kind = ContentType.objects.get_for_model(User)
        staff = ensure_user(name="root", superuser=True)
        for user, object_id in ((adaline, "99"), (staff, str(adaline.pk))):
            LogEntry.objects.create(
                user=user, content_type=kind, object_id=object_id, object_repr=NAME, action_flag=CHANGE
            )
        LogEntry.objects.create(
            user=staff, content_type=kind, object_id="5", object_repr=f"{NAME} is owner", action_flag=CHANGE
        )
        bob = ensure_user(name="bob")
        reports.publish()
        workflows.publish(digest(), now=timezone.now())
        return Story(Caller(adaline, issue_token(adaline)[1], Client()), Caller(bob, issue_token(bob)[1], Client()))

    return await in_thread(make)


async def tell() -> Story:
    """Have both people do everything that leaves texts."""
    story = await people()
    adaline, bob = story.adaline, story.bob
    file = await in_thread(lambda: adaline.upload(f"A {MARKER} file.".encode(), name=f"{MARKER}.txt").json())
    await in_thread(lambda: adaline.upload(f"A {MARKER} unused file.".encode(), name=f"{MARKER}-2.txt"))
    brief = {"text": f"A {MARKER} brief.", "files": [file["id"]]}
    story.mine = await story.complete(adaline, "report", brief, tags=["pilot", f"{NAME}-pilot"])
    await in_thread(
        lambda: give_role(user=adaline.user, scope_type="project", scope_key="alpha", username="bob", role=Role.OWNER)
    )
    story.ofbob = await story.complete(bob, "report", "A brief by Bob.", tags=["pilot"])
    listed = (await story.send(bob, "get", "/documents/"))["data"]
    story.findings = next(each["id"] for each in listed if each["type"] == "findings")
    await edits(story)
    story.reader = await story.complete(bob, "digest", "Another brief by Bob.")
    listed = (await story.send(bob, "get", "/documents/"))["data"]
    story.digest = next(each["id"] for each in listed if each["type"] == "digest")
    await decisions(story)
    await the_rest(story)
    await in_thread(index_documents)
    return story


async def edits(story: Story) -> None:
    """Both edit and comment on the findings."""
    adaline, bob, path = story.adaline, story.bob, f"/documents/{story.findings}"
    edited = {"content": {"title": f"The {MARKER} title", "points": ["One."]}, "note": f"A {MARKER} note."}
    await story.send(adaline, "put", path, edited, If_Match="*")
    more = {"content": {"title": f"The {MARKER} title", "points": ["One.", "Bob's."]}, "note": "By Bob."}
    await story.send(bob, "put", path, more, If_Match="*")
    await story.send(adaline, "post", f"{path}/comments", {"pointer": "/title", "text": f"A {MARKER} remark."})
    await story.send(bob, "post", f"{path}/comments", {"pointer": "/points/1", "text": "By Bob."})
    await story.send(adaline, "patch", f"{path}/comments/2", {"resolved": True}, If_Match="*")


async def decisions(story: Story) -> None:
    """Adaline decides about a document of Bob's, and is assigned to another one that waits."""
    await in_thread(lambda: reports.publish(gated=True))
    body = {"workflow_id": "report", **SCOPE, "scope_id": "beta", "input": "A gated brief by Bob."}
    model = ScriptedModelClient(echo(asks=False))
    gated = (await story.send(story.bob, "post", "/executions/", body))["execution_id"]
    await in_thread(
        lambda: give_role(user=story.bob.user, scope_type="project", scope_key="beta", username=NAME, role=Role.OWNER)
    )
    assert (await run(gated, model)).status == "waiting"
    path = f"/executions/{gated}/steps/research/acceptance"
    asked = {"decision": "request_changes", "document_version": 1, "comment": f"Make it {MARKER}."}
    await story.send(story.adaline, "post", path, asked)
    assert (await run(gated, model)).status == "waiting"
    await story.send(story.adaline, "post", path, {"decision": "accept", "document_version": 2})
    await story.send(story.adaline, "patch", f"/executions/{gated}/budget", {"max_calls": 99})
    assert (await run(gated, model)).status == "completed"
    waiting = (await story.send(story.bob, "post", "/executions/", {**body, "scope_id": "beta"}))["execution_id"]
    assert (await run(waiting, ScriptedModelClient(echo(asks=False)))).status == "waiting"
    assigned = {"assignees": [NAME, "bob"]}
    await story.send(story.bob, "post", f"/executions/{waiting}/steps/research/assign", assigned, Idempotency_Key="a")


async def the_rest(story: Story) -> None:
    """Invitations, and a draft that a stopped worker has left."""
    invite = {"role": "viewer", "email": f"{MARKER}@example.org"}
    await story.send(story.adaline, "post", "/scopes/project/alpha/invitations", invite)
    await story.send(story.bob, "post", "/scopes/project/alpha/invitations", {"role": "viewer", "email": EMAIL})
    key = {"execution_id": story.mine, "step_id": "research", "attempt": 1, "ordinal": 1, "offset": 0}
    await in_thread(lambda: StepDraft.objects.create(**key, text=f"A {MARKER} draft"))
    assert await in_thread(Scope.objects.filter(key="alpha").exists)
