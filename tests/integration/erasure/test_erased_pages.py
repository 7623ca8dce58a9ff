"""Pages of what was erased say so, and offer nothing that is gone."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from access.models import KeptAnswer, ScopeRole
from documents.models import Document
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.erasure.test_erase_person import erase

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "status"),
    [("", 200), ("compare/", 410), ("edit/", 410), ("comments/?at=%2Ftitle", 410), ("again/", 200)],
)
def test_pages_of_an_erased_document(ada: Caller, report: int, path: str, status: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    ada.delete(f"/executions/{execution.id}")
    browser = Client()
    browser.force_login(ada.user)
    key = Document.objects.get(type="findings").id
    response = browser.get(f"/documents/{key}/{path}")
    assert response.status_code == status, response.content
    if not path:
        page = response.content.decode()
        assert "The contents of this version were erased" in page
        assert "Download" not in page and "/edit/" not in page


def test_the_page_of_an_erased_execution_says_so(ada: Caller, report: int) -> None:
    execution = reports.finish(reports.start(ada.user))
    browser = Client()
    browser.force_login(ada.user)
    assert "was erased" not in browser.get(f"/executions/{execution.id}/").content.decode()
    ada.delete(f"/executions/{execution.id}")
    assert (
        "What people and models wrote here was erased" in browser.get(f"/executions/{execution.id}/").content.decode()
    )
    assert browser.get(f"/executions/compare/?a={execution.id}&b={execution.id}").status_code == 200


def test_what_a_form_told_about_a_person_goes_with_the_name(ada: Caller, eve: Caller, report: int) -> None:
    reports.start(eve.user)
    browser = Client()
    browser.force_login(eve.user)
    sent = {"scope_type": "project", "scope_id": "alpha", "username": "ada", "role": "viewer"}
    sent["Idempotency-Key"] = str(uuid4())
    assert "ada is viewer now." in browser.post("/scopes/-/roles/", sent, headers={"HX-Request": "true"}).text
    assert KeptAnswer.objects.get().answer == "ada is viewer now."
    erase("ada")
    assert KeptAnswer.objects.get().answer is None
    again = browser.post("/scopes/-/roles/", sent, headers={"HX-Request": "true"})
    assert (again.status_code, ScopeRole.objects.filter(user=ada.user).exists()) == (410, False)
