"""Executions in the admin: view and cancel, and no other change."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from access.services import ensure_user
from executions.engine.domain.dry_run import DryRunScript
from executions.models import Execution
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

LIST = "/admin/executions/execution/"


@pytest.fixture
def staff(caller: Callable[..., Caller]) -> Client:
    """The browser of a superuser."""
    browser = Client()
    browser.force_login(caller("root", staff=True).user)
    return browser


def looker(*permissions: str) -> Client:
    """Return the browser of a member of staff with these permissions."""
    user = ensure_user(name="looker")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


def text(response: Any) -> str:
    """Return the page."""
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_list_shows_executions_with_their_status_and_a_way_to_watch_them(
    ada: Caller, report: int, staff: Client
) -> None:
    execution = reports.ask(reports.start(ada.user))
    page = text(staff.get(LIST))
    assert "waiting" in page
    assert f"/executions/{execution.id}/" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "alpha"}, True),
        ({"q": "report"}, True),
        ({"q": "ada"}, True),
        ({"q": "nothing-of-the-kind"}, False),
        ({"status__exact": "pending"}, True),
        ({"status__exact": "failed"}, False),
    ],
)
def test_the_list_is_searched_and_filtered(
    ada: Caller, report: int, staff: Client, query: dict[str, str], found: bool
) -> None:
    execution = reports.start(ada.user)
    assert (f"{LIST}{execution.id}/change/" in text(staff.get(LIST, query))) is found


def test_an_execution_is_found_by_its_id(ada: Caller, report: int, staff: Client) -> None:
    execution, other = reports.start(ada.user), reports.start(ada.user)
    page = text(staff.get(LIST, {"q": str(execution.id)}))
    assert f"{LIST}{execution.id}/change/" in page
    assert f"{LIST}{other.id}/change/" not in page


def test_an_execution_shows_its_steps_events_documents_and_calls(ada: Caller, report: int, staff: Client) -> None:
    execution = reports.finish(reports.start(ada.user))
    page = text(staff.get(f"{LIST}{execution.id}/change/"))
    for shown in ("research", "step_completed", "The findings", "The summary", "scripted:writer", "0.0024000000"):
        assert shown in page, shown
    assert 'name="_save"' not in page


def test_what_people_and_models_wrote_is_escaped(ada: Caller, report: int, staff: Client) -> None:
    execution = reports.start(ada.user, input="<script>alert(1)</script>", tags=["<b>tag</b>"])
    page = text(staff.get(f"{LIST}{execution.id}/change/"))
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>tag</b>" not in page


def test_what_people_decided_is_shown(ada: Caller, staff: Client) -> None:
    reports.publish(gated=True)
    execution = reports.hand_in(reports.start(ada.user))
    body = {"decision": "request_changes", "document_version": 1, "comment": "Name the <b>budget</b>."}
    assert ada.post(f"/executions/{execution.id}/steps/research/acceptance", body).status_code == 200
    page = text(staff.get(f"{LIST}{execution.id}/change/"))
    assert "version 1, ada" in page
    assert "request_changes Name the &lt;b&gt;budget&lt;/b&gt;." in page


def test_panels_of_other_rooms_need_their_permission(ada: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    page = text(looker("view_execution").get(f"{LIST}{execution.id}/change/"))
    assert "report" in page
    assert "scripted:writer" not in page
    assert "The findings" not in page
    page = text(looker("view_execution", "view_modelcall").get(f"{LIST}{execution.id}/change/"))
    assert "scripted:writer" in page
    assert "The findings" not in page


def test_nothing_is_added_changed_or_deleted(ada: Caller, report: int, staff: Client) -> None:
    execution = reports.start(ada.user)
    assert staff.get(f"{LIST}add/").status_code == 403
    assert staff.post(f"{LIST}{execution.id}/change/", {"status": "completed"}).status_code == 403
    assert staff.post(f"{LIST}{execution.id}/delete/", {"post": "yes"}).status_code == 403
    assert Execution.objects.get(id=execution.id).status == "pending"


def test_the_cancel_action_says_of_each_execution_what_came_of_it(ada: Caller, report: int, staff: Client) -> None:
    ended = reports.finish(reports.start(ada.user))
    waiting = reports.ask(reports.start(ada.user, key="beta"))
    untouched = reports.start(ada.user, key="gamma")
    form = {"action": "cancel", "_selected_action": [str(ended.id), str(waiting.id)]}
    page = text(staff.post(LIST, form, follow=True))
    assert f"{waiting.id}: cancelled." in page
    assert f"{ended.id}: The execution is completed; it cannot become cancelled." in page
    statuses = {row.id: row.status for row in Execution.objects.all()}
    assert statuses == {ended.id: "completed", waiting.id: "cancelled", untouched.id: "pending"}


def test_who_may_only_look_cannot_cancel(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    browser = looker("view_execution")
    assert 'value="cancel"' not in text(browser.get(LIST))
    browser.post(LIST, {"action": "cancel", "_selected_action": [str(execution.id)]})
    assert Execution.objects.get(id=execution.id).status == "pending"


def test_who_may_not_look_sees_nothing(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    assert looker("view_document").get(LIST).status_code == 403
    assert looker("view_document").get(f"{LIST}{execution.id}/change/").status_code == 403


def test_workers_are_shown_with_their_heartbeat(staff: Client) -> None:
    assert staff.get("/admin/executions/workerheartbeat/").status_code == 200


def test_a_dry_run_cannot_be_mistaken(ada: Caller, report: int, staff: Client) -> None:
    script = DryRunScript.model_validate({"steps": {"research": {"fail": ["model_refused"]}}})
    dry = reports.finish(reports.start(ada.user, key="dry", script=script))
    real = reports.finish(reports.start(ada.user, key="real"))
    page = text(staff.get(f"{LIST}{dry.id}/change/"))
    assert "dry run" in page
    assert "model_refused" in page
    assert "Rehearsal" not in text(staff.get(f"{LIST}{real.id}/change/"))
    for wanted, found, other in (("yes", dry, real), ("no", real, dry)):
        page = text(staff.get(LIST, {"dry_run": wanted}))
        assert f"{LIST}{found.id}/change/" in page
        assert f"{LIST}{other.id}/change/" not in page
    calls = text(staff.get("/admin/telemetry/modelcall/", {"dry_run__exact": "1"}))
    made = {str(call.pk) for call in ModelCall.objects.filter(execution_id=dry.id)}
    assert made
    assert set(re.findall(r"/modelcall/([^/]+)/change/", calls)) == made
