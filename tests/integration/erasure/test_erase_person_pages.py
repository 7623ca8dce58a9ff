"""Whatever a person has written in the browser: nothing of it is left in a dump, in the queue or in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from access.models import AuditEntry, KeptAnswer
from access.permissions import Role
from access.user import User
from executions.db_threads import in_thread
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.models import Execution, InboxEntry
from tests.factories import reports
from tests.factories.callers import make_caller
from tests.integration.api.checks import grant
from tests.integration.console.test_edit_pages import HTMX, fields, text_of
from tests.integration.erasure.dump import dump, lines_with
from tests.integration.erasure.story import EMAIL, FAMILY, MARKER, NAME, SCOPE, Story, digest, echo, people, run
from tests.integration.erasure.test_erase_person import erase, hashes, sums, tables_with

pytestmark = [pytest.mark.django_db(transaction=True)]


@dataclass
class Pages:
    """A browser with a login."""

    client: Client

    def send(self, path: str, page: str = "", **changes: Any) -> Any:
        """Send the form of a page that leads to a path, with changes; twice, as a browser may."""
        found = self.client.get(page or path)
        assert found.status_code == 200, (page or path, found.status_code)
        sent = fields(found, path) | {name.replace("__", "/"): value for name, value in changes.items()}
        for _ in range(2):
            done = self.client.post(path, sent, headers=HTMX)
            assert done.status_code in {200, 204}, (path, done.status_code, text_of(done))
        return done

    def api(self, path: str, body: object) -> Any:
        """Send a request as scripts of pages do: with the session, and a key."""
        headers = {"Idempotency-Key": str(uuid4())}
        done = self.client.post(f"/api/v1{path}", body, content_type="application/json", headers=headers)
        assert done.status_code < 300, done.content
        return done.json()


def pages_of(user: User) -> Pages:
    client = Client()
    client.force_login(user)
    return Pages(client)


def documents(pages: Pages) -> dict[str, str]:
    listed = pages.client.get("/api/v1/documents/").json()["data"]
    return {each["type"]: each["id"] for each in listed if each["scope_id"] == SCOPE["scope_id"]}


@dataclass
class Acts:
    """What both do, in the order of the story."""

    story: Story
    her: Pages
    his: Pages

    def start(self) -> str:
        """Adaline starts an execution with a file."""
        file = SimpleUploadedFile(f"{MARKER}.txt", f"A {MARKER} file.".encode())
        uploaded = self.her.client.post("/api/v1/files", {"file": file}).json()["id"]
        brief = {"text": f"A {MARKER} brief.", "files": [uploaded]}
        body = {"workflow_id": "report", **SCOPE, "input": brief, "tags": [f"{NAME}-pages"]}
        started: str = self.her.api("/executions/", body)["execution_id"]
        return started

    def answer(self, execution_id: str) -> None:
        """Adaline answers a question, after a draft of the answer."""
        page = f"/inbox/{execution_id}/question/research/"
        found = self.her.client.get(page).content.decode()
        [key] = set(
            re.findall(r'name="Idempotency-Key" value="([^"]+)"', found.partition("/question/research/")[2])[:1]
        )
        sent = {"Idempotency-Key": key, "answers.research.1.1": f"By {MARKER} answer"}
        for more in ({"show": "draft"}, {}, {}):
            done = self.her.client.post(page, sent | more, headers=HTMX)
            assert done.status_code in {200, 204}, done.content.decode()[-2000:]

    def write(self) -> None:
        """Adaline adds a document, edits another one, restores and comments it; she gives Bob a role and invites."""
        place, key = {"scope_type": "project", "scope_id": "alpha"}, documents(self.her)["findings"]
        people = "/scopes/-/people/project/alpha/"
        self.her.send("/scopes/-/roles/", people, **place, username="bob", role="owner")
        self.his.send("/scopes/-/roles/", people, **place, username=NAME, role="owner")
        self.her.send("/scopes/-/invitations/", people, role="viewer", email=f"{MARKER}@example.org")
        self.her.send("/account/tokens/", "/account/", name=f"{MARKER} laptop", rights=["read"])
        new = "/documents/new/?scope_type=project&scope_id=alpha&type=notes"
        self.her.send("/documents/new/", new, title=f"{MARKER} notes", **{"content.sk": f"A {MARKER} text."})
        path = f"/documents/{key}/"
        self.her.send(f"{path}edit/", note=f"A {MARKER} note.", **{"content.sk__title": f"The {MARKER} title"})
        self.his.send(f"{path}edit/", note="By Bob.", **{"content.sk__title": f"Bob repeats {MARKER}"})
        self.her.send(f"{path}restore/", f"{path}?v=1")
        self.his.send(f"{path}edit/", note="Again.", **{"content.sk__title": f"Bob goes on with {MARKER}"})
        passage = f"{path}parts/passage/?v=2&near=&quote=The {MARKER} title"
        self.her.send(f"{path}comments/", passage, text=f"A {MARKER} remark.")

    def make_again(self) -> str:
        """Bob makes again what was made of Adaline's brief."""
        path = f"/documents/{documents(self.his)['summary']}/again/"
        self.his.send(path)
        return str(Execution.objects.filter(requested_by=self.story.bob.user).latest("created_at").id)

    def hand_in(self, key: str = "beta") -> str:
        """Bob starts an execution with decisions. Adaline has a role there."""
        reports.publish(gated=True)
        body = {"workflow_id": "report", **SCOPE, "scope_id": key, "input": "A brief by Bob."}
        started: str = self.his.api("/executions/", body)["execution_id"]
        grant(self.story.adaline.user, key, Role.OWNER)
        return started

    def request_changes(self, execution_id: str) -> None:
        """Adaline asks for changes."""
        path = f"/executions/{execution_id}/steps/research/decision/"
        self.her.send(path, decision="request_changes", comment=f"Make it {MARKER}.")

    def accept(self, execution_id: str) -> None:
        """Bob assigns the document to both, and Adaline accepts it with her edits."""
        assign = f"/inbox/assign/{execution_id}/acceptance/research/"
        self.his.send(assign, f"/inbox/{execution_id}/acceptance/research/", assignees=f"{NAME}, bob")
        path = f"/executions/{execution_id}/steps/research/decision/edit/"
        self.her.send(path, **{"content.sk__title": f"Findings {MARKER}"})

    def leave(self, execution_id: str) -> None:
        """Something of Bob's waits, assigned to both. Adaline tries a workflow, and cancels that. A login fails."""
        assign = f"/inbox/assign/{execution_id}/acceptance/research/"
        self.his.send(assign, f"/inbox/{execution_id}/acceptance/research/", assignees=f"{NAME}, bob")
        User.objects.filter(username=NAME).update(is_author=True)
        plan = digest().model_dump(mode="json", exclude_defaults=True) | {"description": f"A {MARKER} plan."}
        self.her.send("/workflows/digest/edit/", definition=yaml.safe_dump(plan), show="try", **SCOPE)
        tried = Execution.objects.exclude(script=None).get()
        self.her.send(f"/executions/{tried.id}/cancel/", f"/executions/{tried.id}/brief/")
        assert Client().post("/login/", {"username": NAME, "password": "wrong"}).status_code == 200


async def tell() -> None:
    story = await people()
    acts = await in_thread(lambda: Acts(story, pages_of(story.adaline.user), pages_of(story.bob.user)))
    asks, repeats = ScriptedModelClient(echo(asks=True)), ScriptedModelClient(echo(asks=False))
    first = await in_thread(acts.start)
    assert (await run(first, asks)).status == "waiting"
    await in_thread(lambda: acts.answer(first))
    assert (await run(first, asks)).status == "completed"
    await in_thread(acts.write)
    again = await in_thread(acts.make_again)
    assert (await run(again, repeats)).status == "completed"
    gated = await in_thread(acts.hand_in)
    assert (await run(gated, repeats)).status == "waiting"
    await in_thread(lambda: acts.request_changes(gated))
    assert (await run(gated, repeats)).status == "waiting"
    await in_thread(lambda: acts.accept(gated))
    assert (await run(gated, repeats)).status == "completed"
    last = await in_thread(lambda: acts.hand_in("gamma"))
    assert (await run(last, ScriptedModelClient(echo(asks=False)))).status == "waiting"
    await in_thread(lambda: acts.leave(last))


#: Tables whose rows have to hold the marker before, or the test would prove little.
TOLD = {
    "access_invitation",
    "access_keptanswer",
    "documents_document",
    "documents_documentcomment",
    "documents_documentversion",
    "documents_file",
    "executions_execution",
    "executions_executionevent",
    "executions_executionstep",
    "knox_authtoken",
    "telemetry_modelcall",
}


async def test_nothing_that_a_person_has_sent_from_pages_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await tell()
    await in_thread(_check)
    told = [each for text in (MARKER, NAME, EMAIL, FAMILY) for each in caplog.messages if text in each]
    assert told == []


def _check() -> None:
    staff = make_caller("root", staff=True)
    before, kept = sums(staff), hashes()
    whole = dump()
    assert tables_with(MARKER, whole) >= TOLD
    assert tables_with(NAME, whole) >= {"executions_inboxentry", "access_keptanswer", "executions_executiontag"}
    assert NAME in str(InboxEntry.objects.values_list("assignees"))
    assert f"{NAME} is owner now." in KeptAnswer.objects.values_list("answer", flat=True)
    jobs = [line for line in whole.splitlines() if line.startswith("INSERT INTO public.procrastinate_jobs")]
    assert jobs
    entries = AuditEntry.objects.count()
    erase(derived=True)
    left = dump()
    for text in (MARKER, NAME, EMAIL, FAMILY):
        assert not lines_with(text, of=left), text
    assert sums(staff) == before
    assert hashes() == kept
    assert AuditEntry.objects.count() > entries
