"""Pages of what was erased say so, and offer nothing that is gone."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from access.models import KeptAnswer, ScopeRole
from access.user import User
from documents.models import Document
from executions.models import ExecutionStep
from executions.persistence import repositories
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.workflows.test_candidates_api import BODY
from tests.integration.erasure.story import MARKER, board
from tests.integration.erasure.test_erase_person import erase
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition
from workflows.models import Workflow, WorkflowVersion

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


def test_a_definition_that_was_only_tried_goes_with_its_last_try(ada: Caller, report: int) -> None:
    User.objects.filter(pk=ada.user.pk).update(is_author=True)
    plan: dict[str, Any] = board().model_dump(mode="json") | {"scope_documents": [], "description": f"A {MARKER}."}
    plan["steps"][0] |= {"name": f"{MARKER} step", "task": f"{MARKER}!", "inputs": []}
    plan["roles"]["analyst"]["name"] = f"{MARKER} role"

    def attempt() -> str:
        tried = ada.post("/executions/", {**BODY, "definition": plan})
        assert tried.status_code == 201, tried.content
        execution_id: str = tried.json()["execution_id"]
        reports.cancel(ada.user, repositories.get(UUID(execution_id)).id)
        return execution_id

    def told() -> str:
        names = ExecutionStep.objects.values_list("name", "role")
        versions = WorkflowVersion.objects.values_list("definition")
        return str([list(Workflow.objects.values_list("name", "description")), list(names), list(versions)])

    first, second = attempt(), attempt()
    [kept] = WorkflowVersion.objects.filter(is_candidate=True)
    assert ada.delete(f"/executions/{first}").status_code == 204
    assert WorkflowVersion.objects.get(pk=kept.pk).definition == kept.definition
    assert ada.delete(f"/executions/{second}").status_code == 204
    assert MARKER not in told()
    row = WorkflowVersion.objects.get(pk=kept.pk)
    parse_definition(row.definition)
    assert workflows.get_definition("board", row.version).description == "Erased."
    browser = Client()
    browser.force_login(ada.user)
    assert browser.get(f"/executions/{second}/").status_code == 200
    attempt()
    assert MARKER in told()
    assert WorkflowVersion.objects.filter(is_candidate=True).count() == 2
