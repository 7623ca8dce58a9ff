"""Executions that another person has begun with a brief of the person: *Make again*."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError
from django.test import Client

from access.permissions import Role
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.prompting.replies import SUBMIT_DOCUMENT
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.integration.api.checks import grant
from tests.integration.console.test_edit_pages import fields
from tests.integration.erasure.dump import lines_with
from tests.integration.erasure.story import MARKER, SCOPE, run
from tests.integration.erasure.test_erase_person import erase

pytestmark = [pytest.mark.django_db(transaction=True)]


async def repeats(request: ModelRequest) -> ModelReply:
    """Repeat the brief, as models do."""
    told = " ".join(each.text for each in request.materials)
    arguments: Any = {"title": f"A {request.step_id}", "points": [MARKER if MARKER in told else "Nothing."]}
    return ModelReply(provider="a", model="b", tool_calls=(ToolCall(name=SUBMIT_DOCUMENT, arguments=arguments),))


def start(caller: Caller, brief: str) -> str:
    started = caller.post("/executions/", {"workflow_id": "report", **SCOPE, "input": brief})
    assert started.status_code == 201, started.content
    execution_id: str = started.json()["execution_id"]
    return execution_id


def make_again(caller: Caller) -> UUID:
    """Edit the findings, and make the summary again by its page; return the new execution."""
    documents = {each["type"]: each["id"] for each in caller.get("/documents/").json()["data"]}
    edited = caller.put(f"/documents/{documents['findings']}", {"content": {"title": "Other."}}, If_Match="*")
    assert edited.status_code == 200
    browser, path = Client(), f"/documents/{documents['summary']}/again/"
    browser.force_login(caller.user)
    assert browser.post(path, fields(browser.get(path), "/again/")).status_code == 302
    return Execution.objects.filter(requested_by=caller.user).latest("created_at").id


async def story() -> tuple[Caller, Caller, UUID]:
    """Ada writes a brief, and Bob makes again what was made of it."""

    def begin() -> tuple[Caller, Caller, str]:
        ada, bob = make_caller("ada"), make_caller("bob")
        reports.publish()
        started = start(ada, f"A {MARKER} brief.")
        grant(bob.user, "alpha", Role.OWNER)
        return ada, bob, started

    ada, bob, first = await in_thread(begin)
    assert (await run(first, ScriptedModelClient(repeats))).status == "completed"
    copy = await in_thread(lambda: make_again(bob))
    return ada, bob, copy


@pytest.mark.parametrize("later", [False, True])
async def test_the_copy_goes_with_derived_and_is_named_before(later: bool) -> None:
    ada, _, copy = await story()
    assert (await run(str(copy), ScriptedModelClient(repeats))).status == "completed"

    def check() -> None:
        assert f"1 executions of others that began with a copy of such a brief stay without --derived: {copy}" in erase(
            "ada", dry_run=True
        )
        if later:
            erase("ada")
            assert Execution.objects.get(id=copy).input == f"A {MARKER} brief."
        name = f"erased-{ada.user.pk}" if later else "ada"
        assert f"a copy of such a brief go: {copy}" in erase(name, derived=True, dry_run=True)
        erase(name, derived=True)
        assert not lines_with(MARKER)
        assert "copy of such a brief" not in erase(f"erased-{ada.user.pk}", derived=True, dry_run=True)

    await in_thread(check)


async def test_a_copy_that_has_not_ended_is_named_as_open() -> None:
    _, _, copy = await story()

    def check() -> None:
        with pytest.raises(CommandError, match=str(copy)):
            erase("ada", derived=True)
        erase("ada", derived=True, cancel=True)
        assert Execution.objects.get(id=copy).status == "cancelled"
        assert not lines_with(MARKER)

    await in_thread(check)


def test_the_first_one_who_began_with_a_brief_has_written_it(ada: Caller, eve: Caller, report: int) -> None:
    reports.finish(reports.start(eve.user))
    grant(ada.user, "alpha", Role.OWNER)
    reports.finish(reports.start(ada.user))
    last = reports.finish(reports.start(eve.user))
    erase("ada", derived=True)
    assert Execution.objects.get(id=last.id).input is not None
    erase("eve", derived=True)
    assert not Execution.objects.filter(input__isnull=False).exists()


async def test_what_others_made_from_a_copy_goes_after_its_owner_has_erased_the_copy() -> None:
    def begin() -> tuple[Caller, Caller, str]:
        ada, bob, eve = make_caller("ada"), make_caller("bob"), make_caller("eve")
        reports.publish()
        first = start(ada, f"A {MARKER} brief.")
        for each in (bob, eve):
            grant(each.user, "alpha", Role.OWNER)
        return bob, eve, first

    bob, eve, first = await in_thread(begin)
    await run(first, ScriptedModelClient(repeats))
    copy = await in_thread(lambda: start(bob, f"A {MARKER} brief."))
    await run(copy, ScriptedModelClient(repeats))

    def check() -> None:
        documents = {each["type"]: each["id"] for each in eve.get("/documents/").json()["data"]}
        edited = {"content": {"title": "Eve", "points": [MARKER, "More."]}}
        assert eve.put(f"/documents/{documents['summary']}", edited, If_Match="*").status_code == 200
        assert bob.delete(f"/executions/{copy}").status_code == 204
        erase("ada", derived=True)
        assert not lines_with(MARKER)

    await in_thread(check)
