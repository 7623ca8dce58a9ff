"""The header of an execution, its tabs, and its forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def started(ada: User) -> Execution:
    """An execution that waits for a worker."""
    reports.publish(gated=True)
    return reports.start(ada, key="new")


def path_of(execution: Execution, name: str) -> str:
    return f"/executions/{execution.id}/{name}"


def form_of(page: Any, action: str) -> dict[str, str]:
    """Return the hidden fields of the form that sends to an address."""
    [form] = re.findall(rf'<form [^>]*action="{action}".*?</form>', page.content.decode(), re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)"', form))


def test_the_header_says_what_it_is_and_what_it_waits_for(browser: Client, started: Execution) -> None:
    page = browser.get(path_of(started, "brief/"))
    text = text_of(page)
    assert "waits for a worker" in text and "ada" in text and "new" in text
    assert page.context["stream"] == f"/api/v1/executions/{started.id}/stream"


def test_the_header_is_a_part_with_an_entity_tag(browser: Client, started: Execution) -> None:
    part = browser.get(path_of(started, "parts/header/"))
    again = browser.get(path_of(started, "parts/header/"), headers={"If-None-Match": part["ETag"]})
    assert part.status_code == 200 and again.status_code == 304


def test_a_form_cancels_and_another_one_retries(browser: Client, started: Execution) -> None:
    for act, page, status in (("cancel/", "brief/", "cancelled"), ("retry/", "retry/", "running")):
        address = path_of(started, act)
        sent = form_of(browser.get(path_of(started, page)), address)
        assert browser.post(address, sent)["Location"] == f"/executions/{started.id}/"
        assert browser.post(address, sent)["Location"] == f"/executions/{started.id}/"  # the same form acts once
        assert ExecutionRow.objects.get(id=started.id).status == status


def test_a_form_that_comes_too_late_says_so(browser: Client, started: Execution) -> None:
    late = browser.post(path_of(started, "retry/"), {"from_step": ""})  # it was retried by another person
    assert late.status_code == 422
    assert late.context["fault"] in unescape(text_of(late))


def test_a_viewer_sees_no_forms_and_cannot_send_them(ada: User, started: Execution) -> None:
    dora = ensure_user(name="dora")
    ScopeRole.objects.create(scope_id=scope_of(ada, "new").id, user=dora, role=Role.VIEWER)
    client = Client()
    client.force_login(dora)
    page = client.get(path_of(started, "brief/"))
    assert page.status_code == 200
    assert 'id="cancel"' not in page.content.decode()
    assert client.post(path_of(started, "cancel/")).status_code == 403
    assert ExecutionRow.objects.get(id=started.id).status == "pending"


def test_others_do_not_find_it(started: Execution) -> None:
    client = Client()
    client.force_login(ensure_user(name="eve"))
    for name in ("brief/", "parts/header/"):
        assert client.get(path_of(started, name)).status_code == 404
    assert client.post(path_of(started, "cancel/")).status_code == 404
