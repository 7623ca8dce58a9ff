"""`manage.py erase_person`: nothing that the person wrote is left in a dump, and every sum is as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.utils import timezone
from pydantic import JsonValue

from access.models import AuditEntry, KeptAnswer, ScopeRole
from access.permissions import Role
from access.user import User
from documents.models import DocumentVersion
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.prompting.replies import SUBMIT_DOCUMENT
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.models import Execution, ExecutionEvent, ExecutionStep, InboxEntry
from executions.persistence.journal.locked_batch import LockedBatch
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.integration.api.checks import grant
from tests.integration.api.decisions.test_clarification_api import answer
from tests.integration.erasure import story as stories
from tests.integration.erasure.dump import dump, lines_with
from tests.integration.erasure.story import EMAIL, FAMILY, MARKER, NAME, Story
from workflows import repository as workflows

pytestmark = [pytest.mark.django_db(transaction=True)]

#: Tables whose rows have to hold the marker before, or the test would prove little.
TOLD = (
    "access_invitation",
    "access_keptanswer",
    "access_user",
    "documents_document",
    "documents_documentcomment",
    "documents_documentversion",
    "documents_file",
    "executions_execution",
    "executions_executionevent",
    "executions_executionstep",
    "knox_authtoken",
    "telemetry_modelcall",
)
GROUPS = "day,model,workflow,step,scope,user,tag"


def erase(name: str = NAME, **options: Any) -> str:
    out = StringIO()
    call_command("erase_person", name, stdout=out, **options)
    return out.getvalue()


def sums(staff: Caller) -> Any:
    """Return all sums, as staff read them, with other names for the person and for a tag with the name."""
    found = staff.get("/telemetry/summary", {"group_by": GROUPS}).json()
    for group in found["groups"]["user"]:
        group["user"] = "P" if str(group["user"]).startswith(("erased-", NAME)) else group["user"]
    for group in found["groups"]["tag"]:
        group["tag"] = "T" if group["tag"].startswith(("erased-", NAME)) else group["tag"]
    for name in ("user", "tag"):
        found["groups"][name].sort(key=str)
    costs = [staff.get(f"/telemetry/executions/{key}/costs").json() for key in _ids()]
    for each in (
        call for cost in costs for step in cost["steps"] for part in step["attempts"] for call in part["calls"]
    ):
        del each["error"]
    stats = [staff.get(f"/telemetry/workflows/{key}/stats").json() for key in ("report", "digest")]
    return found, costs, stats


def _ids() -> list[Any]:
    return list(Execution.objects.order_by("created_at", "id").values_list("id", flat=True))


def hashes() -> Any:
    versions = DocumentVersion.objects.order_by("id").values_list("content_hash", "schema_id", "created_at")
    return list(versions), list(ModelCall.objects.order_by("id").values_list("id", "request_hash"))


def tables_with(text: str, whole: str) -> set[str]:
    return {line.split()[2].removeprefix("public.") for line in lines_with(text, of=whole)}


async def test_with_derived_nothing_of_the_person_is_left_in_a_dump() -> None:
    await stories.tell()
    await in_thread(_check_all_goes)


def _check_all_goes() -> None:
    staff = make_caller("root", staff=True)
    before, kept, known = sums(staff), hashes(), set(_ids())
    whole = dump()
    assert tables_with(MARKER, whole) >= set(TOLD)
    assert tables_with(NAME, whole) >= {"executions_inboxentry", "access_externalaccount", "django_admin_log"}
    assert lines_with(FAMILY, of=whole)
    printed = erase(derived=True)
    left = dump()
    for text in (MARKER, NAME, EMAIL, FAMILY):
        assert not lines_with(text, of=left), text
    assert sums(staff) == before
    assert hashes() == kept
    assert set(_ids()) == known
    user = User.objects.get(username=f"erased-{_user_id(printed)}")
    assert (user.is_active, user.has_usable_password(), user.email) == (False, False, "")
    [entry] = AuditEntry.objects.filter(act="user.erase")
    assert (entry.subject_id, entry.via, entry.user_id) == (str(user.pk), "command", None)
    assert AuditEntry.objects.filter(user_id=user.pk).exists()


def _user_id(printed: str) -> str:
    return printed.rpartition("erased-")[2].split()[0]


@pytest.mark.parametrize("derived", [True, False])
async def test_labels_of_steps_that_have_not_begun_go_with_the_list(derived: bool) -> None:
    def prepare() -> tuple[Caller, str]:
        ada, bob = make_caller("ada"), make_caller("bob")
        note = {**stories.SCOPE, "type": "note", "title": "A", "content": {"title": f"{MARKER} title"}}
        assert ada.post("/documents/", note).status_code == 201
        grant(bob.user, "alpha", Role.OWNER)
        workflows.publish(stories.board(), now=timezone.now())
        body = {"workflow_id": "board", **stories.SCOPE, "input": "A brief.", "budget": {"max_calls": 1}}
        return bob, bob.post("/executions/", body).json()["execution_id"]

    async def plan(_: ModelRequest) -> ModelReply:
        made: JsonValue = {"title": "A plan", "epics": [{"id": "a", "title": f"{MARKER} one"}]}
        return ModelReply(provider="a", model="b", tool_calls=(ToolCall(name=SUBMIT_DOCUMENT, arguments=made),))

    bob, execution_id = await in_thread(prepare)
    await stories.run(execution_id, ScriptedModelClient(plan))

    def check() -> None:
        assert bob.post(f"/executions/{execution_id}/cancel").status_code == 200
        items = ExecutionStep.objects.filter(step_id__contains="@")
        assert {each.label for each in items} == {f"{MARKER} one"}
        erase("ada", derived=derived)
        assert {each.label for each in items.all()} == ({""} if derived else {f"{MARKER} one"})
        assert not derived or not lines_with(MARKER)

    await in_thread(check)


async def test_without_derived_the_later_versions_of_others_stay() -> None:
    story = await stories.tell()
    await in_thread(_check_others_stay, story)


def _check_others_stay(story: Story) -> None:
    staff = make_caller("root", staff=True)
    before = sums(staff)
    erase()
    assert sums(staff) == before
    left = dump()
    for text in (NAME, EMAIL, FAMILY):
        assert not lines_with(text, of=left), text
    found = story.bob.get(f"/documents/{story.findings}").json()
    assert (found["version"], found["author"], MARKER in found["title"]) == (4, "bob", True)
    versions = story.bob.get(f"/documents/{story.findings}/versions").json()["data"]
    assert [each["erased_at"] is None for each in reversed(versions)] == [True, True, False, True]
    assert story.bob.get(f"/documents/{story.digest}").json()["content"] is not None
    mine = story.bob.get(f"/executions/{story.mine}").json()
    assert (mine["input"], mine["erased_at"] is None, mine["requested_by"][:7]) == (None, False, "erased-")
    # What others made stays: versions with their words, and what read them.
    assert tables_with(MARKER, left) <= {
        "documents_document",
        "documents_documentversion",
        "executions_executionevent",
        "executions_executionstep",
        "telemetry_modelcall",
    }
    calls = ModelCall.objects.filter(erased_at=None).values_list("execution_id", flat=True)
    assert {str(each) for each in calls} & {story.mine, story.ofbob} == set()
    erase(User.objects.get(username__startswith="erased-").username, derived=True)
    assert not lines_with(MARKER)
    assert sums(staff) == before


async def test_a_dry_run_names_what_it_would_erase_and_changes_nothing() -> None:
    await stories.tell()

    def check() -> None:
        before = dump()
        printed = erase(derived=True, dry_run=True)
        assert [line for line in dump().splitlines() if line not in set(before.splitlines())] == []
        assert "1 executions that the person started" in printed
        assert "Nothing was written." in printed

    await in_thread(check)


def test_what_a_person_started_can_be_erased_with_its_documents_later(ada: Caller, eve: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    grant(eve.user, "alpha", Role.OWNER)
    erase("ada")
    listed = eve.get("/documents/").json()["data"]
    assert {each["title"] for each in listed} == {"The findings", "The summary"}
    assert eve.delete(f"/executions/{execution.id}").status_code == 204
    assert eve.get("/documents/").json()["data"] == []
    assert AuditEntry.objects.filter(act="execution.erase", user_id=eve.user.pk).count() == 1


def test_an_unknown_name_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="There is no user 'ghost'"):
        erase("ghost")


def test_the_only_superuser_is_not_erased(report: int) -> None:
    root, other = make_caller("root", staff=True).user, make_caller("other", staff=True).user
    User.objects.filter(pk__in=[root.pk, other.pk]).update(is_superuser=True)
    User.objects.filter(pk=other.pk).update(is_active=False)
    assert "the only active superuser" in erase("root", dry_run=True)
    with pytest.raises(CommandError, match="the only active superuser"):
        erase("root", cancel=True)
    assert User.objects.get(pk=root.pk).is_active
    User.objects.filter(pk=other.pk).update(is_active=True)
    erase("root")
    assert not User.objects.get(pk=root.pk).is_superuser


def test_what_has_not_ended_is_named_and_nothing_goes(ada: Caller, report: int) -> None:
    execution = reports.ask(reports.start(ada.user))
    with pytest.raises(CommandError, match=str(execution.id)):
        erase("ada")
    assert User.objects.get(username="ada").is_active
    assert Execution.objects.get().input is not None
    erase("ada", cancel=True)
    row = Execution.objects.get()
    assert (row.status, row.input) == ("cancelled", None)
    assert not User.objects.filter(username="ada").exists()


def test_a_late_reply_to_what_the_person_answered_has_no_text(ada: Caller, eve: Caller, report: int) -> None:
    execution = reports.ask(reports.start(eve.user))
    grant(ada.user, "alpha", Role.REVIEWER)
    assert answer(ada, execution, reports.GOOD_ANSWERS).status_code == 200
    begun, call = reports.begin(reports.claim(reports.read(execution)), attempt=2)
    reports.cancel(eve.user, begun.id)
    erase("ada")
    late = reports.answered(call)
    assert late.reply is not None
    told = late.reply.model_copy(update={"text": MARKER, "raw": {"a": MARKER}})
    LockedBatch([replace(late, reply=told)], now=timezone.now(), known={}).commit()
    row = ModelCall.objects.get(attempt=2)
    assert (row.status, row.output_tokens) == ("discarded", reports.USAGE.output_tokens)
    assert MARKER not in str(row.reply)
    assert row.erased_at is not None


def test_a_former_name_goes_unless_another_user_has_it_now(ada: Caller, eve: Caller, report: int) -> None:
    for key, name in (("one", "zoe"), ("two", "yan")):
        User.objects.filter(pk=ada.user.pk).update(username=name)
        ada.user.refresh_from_db()
        own = reports.start(ada.user, key=key)
        grant(eve.user, key, Role.OPERATOR)
        of_eve = reports.ask(reports.start(eve.user, key=key))
        assert answer(ada, of_eve, reports.GOOD_ANSWERS).status_code == 200
        for each in (own, of_eve):
            reports.cancel(ada.user, each.id)
    User.objects.filter(pk=ada.user.pk).update(username="ada")
    assert "zoe" in _told()
    User.objects.create_user("yan")
    erase("ada")
    assert "zoe" not in _told()
    assert "yan" in _told()
    assert User.objects.filter(username="yan").exists()


def _told() -> str:
    """Return the data of all events, and the rounds of all steps."""
    return str(list(ExecutionEvent.objects.values_list("data")) + list(ExecutionStep.objects.values_list("rounds")))


def test_an_open_execution_of_another_user_names_the_person_no_more(ada: Caller, eve: Caller, report: int) -> None:
    ada.post("/documents/", {**stories.SCOPE, "type": "note", "title": "A", "content": {"title": "A"}})
    scope = ada.get("/scopes/").json()["data"][0]
    ScopeRole.objects.create(scope_id=scope["id"], user=eve.user, role="owner")
    execution = reports.ask(reports.start(eve.user))
    eve.post(f"/executions/{execution.id}/steps/research/assign", {"assignees": ["ada", "eve"]})
    version = Execution.objects.get().version
    erase("ada")
    assert Execution.objects.get().version == version + 1
    erase(f"erased-{ada.user.pk}")
    assert Execution.objects.get().version == version + 1
    wait = ExecutionStep.objects.get(step_id="research").wait
    assert wait is not None and wait["assignees"] == [f"erased-{ada.user.pk}", "eve"]
    assert InboxEntry.objects.get().assignees == [f"erased-{ada.user.pk}", "eve"]
    assert answer(eve, execution, reports.GOOD_ANSWERS).status_code == 200


@pytest.mark.parametrize("derived", [True, False])
def test_stored_answers_to_others_about_the_documents_go(ada: Caller, eve: Caller, derived: bool) -> None:
    added = {**stories.SCOPE, "type": "note", "title": "A", "content": {"title": f"A {MARKER} title"}}
    key = ada.post("/documents/", added).json()["id"]
    grant(eve.user, "alpha", Role.OWNER)
    path = f"/documents/{key}"
    assert eve.put(path, {"content": {"title": "By Eve."}}, If_Match='"1"').status_code == 200
    restored = eve.post(f"{path}/restore", {"version": 1}, If_Match='"2"', Idempotency_Key="r")
    quoted = {"pointer": "/title", "quote": MARKER, "text": "Why?"}
    noted = eve.post(f"{path}/comments", quoted, Idempotency_Key="c")
    file = ada.upload(f"A {MARKER} file.".encode()).json()["id"]
    assert ada.post("/documents/", {**stories.SCOPE, "type": "spec", "file": file}).status_code == 201
    copied = eve.post("/documents/", {**stories.SCOPE, "type": "plan", "file": file}, Idempotency_Key="f")
    for each in (restored, noted, copied):
        assert each.status_code < 300, each.content
    assert KeptAnswer.objects.filter(user=eve.user, status__lt=400).count() == 3
    erase("ada", derived=derived)
    assert MARKER not in str(list(KeptAnswer.objects.filter(path__startswith=f"/api/v1{path}").values("answer")))
    if derived:
        assert not lines_with(MARKER)


@pytest.mark.parametrize("name", ["ada.", "+ada", "jürgen", "o_ada"])
def test_any_user_name_goes_from_stored_answers_and_the_log_of_others(eve: Caller, report: int, name: str) -> None:
    person, staff = make_caller(name), make_caller("root", staff=True)
    kind = ContentType.objects.get_for_model(User)
    told = {"user": staff.user, "content_type": kind, "object_id": "5", "action_flag": CHANGE}
    LogEntry.objects.create(**told, object_repr=f"{name} is owner", change_message=f"[{name}]")
    LogEntry.objects.create(**told, object_repr="A scope", change_message=json.dumps([{"added": {"object": name}}]))
    body = {"workflow_id": "report", **stories.SCOPE, "tags": [f"for {name}"], "input": f"Ask\n{name} first."}
    assert eve.post("/executions/", body, Idempotency_Key="a").status_code == 201
    assert name in str(KeptAnswer.objects.get().answer)
    erase(name)
    left = "".join(f"{each.object_repr} {each.change_message}" for each in LogEntry.objects.all())
    assert name not in left and json.dumps(name)[1:-1] not in left
    assert name not in str(KeptAnswer.objects.get().answer)
    assert not User.objects.filter(pk=person.user.pk, username=name).exists()


def test_another_user_may_have_the_name_that_would_take_its_place(ada: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    alias = f"erased-{ada.user.pk}"
    other = make_caller(alias)
    assert f"The account is {alias}.2 now" in erase("ada")
    assert User.objects.get(pk=ada.user.pk).username == f"{alias}.2"
    assert Execution.objects.get(pk=execution.id).requested_by_name == f"{alias}.2"
    assert "The account is" in erase(f"{alias}.2", derived=True)
    assert User.objects.get(pk=other.user.pk).is_active
    assert not DocumentVersion.objects.filter(erased_at=None).exists()


@pytest.mark.parametrize("derived", [True, False])
@pytest.mark.parametrize("edited", ["before", "after"])
async def test_what_waits_for_a_decision_about_a_version_that_goes_is_named(derived: bool, edited: str) -> None:
    note = {"content": {"title": "By Ada."}}

    def prepare() -> tuple[Caller, Caller, str, str]:
        ada, bob = make_caller("ada"), make_caller("bob")
        reports.publish(gated=True)
        key = ada.post("/documents/", {**stories.SCOPE, "type": "findings", **note}).json()["id"]
        grant(bob.user, "alpha", Role.OWNER)
        started = bob.post("/executions/", {"workflow_id": "report", **stories.SCOPE, "input": "b"}).json()
        return ada, bob, key, started["execution_id"]

    ada, bob, key, execution_id = await in_thread(prepare)

    async def submit(_: ModelRequest) -> ModelReply:
        if edited == "before":  # the model's version is proposed beside it
            await in_thread(lambda: ada.put(f"/documents/{key}", {"content": {"title": "More."}}, If_Match="*"))
        made: JsonValue = {"title": "By a model.", "points": ["One."]}
        return ModelReply(provider="a", model="b", tool_calls=(ToolCall(name=SUBMIT_DOCUMENT, arguments=made),))

    assert (await stories.run(execution_id, ScriptedModelClient(submit))).status == "waiting"

    def check() -> None:
        if edited == "after":
            assert ada.put(f"/documents/{key}", {"content": {"title": "More."}}, If_Match="*").status_code == 200
        with pytest.raises(CommandError, match=execution_id):
            erase("ada", derived=derived)
        assert not DocumentVersion.objects.filter(document_id=key).exclude(erased_at=None).exists()
        erase("ada", derived=derived, cancel=True)
        assert Execution.objects.get().status == "cancelled"
        assert bob.get("/inbox/").json()["data"] == []

    await in_thread(check)


def test_what_another_person_has_written_anew_after_the_first_run_stays(ada: Caller, eve: Caller) -> None:
    note = {**stories.SCOPE, "type": "note", "title": "A"}
    assert ada.post("/documents/", {**note, "content": {"title": "By Ada."}}).status_code == 201
    grant(eve.user, "alpha", Role.OWNER)
    erase("ada")
    anew = eve.post("/documents/", {**note, "content": {"title": "By Eve."}})
    assert (anew.status_code, anew.json()["version"]) == (201, 2)
    erase(f"erased-{ada.user.pk}", derived=True)
    assert eve.get(f"/documents/{anew.json()['id']}").json()["content"] == {"title": "By Eve."}
