"""Pages of workflows: reading for everybody, acts for authors, and the editor with its faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.services import ensure_user
from access.user import User
from executions.models import Execution
from tests.factories import reports
from tests.factories.workflows import definition, plan, step
from tests.integration.console.test_edit_pages import HTMX, fields, text_of
from workflows import publishing, selectors
from workflows.exchange.folders import write_text
from workflows.exchange.uploads import Form, read_upload
from workflows.loader import folders, load_folder
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db

EDIT = "/workflows/note/edit/"
MAX_QUERIES = 12


@pytest.fixture
def author(ada: User) -> User:
    """Ada as an author."""
    ada.is_author = True
    ada.save()
    return ada


@pytest.fixture
def note(author: User) -> str:
    """A workflow of two versions."""
    publish(author, description="First.")
    publish(author, task="Write well.")
    return "/workflows/note/"


def publish(by: User | None, *, task: str = "Write.", **changes: Any) -> int:
    made = definition(**{"steps": [step(task=task)], **changes})
    return publishing.publish(made, by=by, now=timezone.now()).version


def source(**changes: Any) -> str:
    return yaml.safe_dump(plan(**changes), sort_keys=False)


def send(browser: Client, path: str, show: str = "", **changes: str) -> Any:
    """Send the form of an editor."""
    sent = fields(browser.get(path), "/edit/" if "/edit/" in path else "/new/")
    return browser.post(path, sent | changes | {"show": show}, headers=HTMX)


def other_browser(name: str, *, is_author: bool = False) -> Client:
    user = ensure_user(name=name)
    User.objects.filter(pk=user.pk).update(is_author=is_author)
    client = Client()
    client.force_login(user)
    return client


def test_the_catalog_hides_retired_workflows(author: User, browser: Client, note: str) -> None:
    publishing.publish(definition(id="other", name="Other"), by=author, now=timezone.now())
    publishing.retire("other", by=author, now=timezone.now())
    shown = browser.get("/workflows/").content.decode()
    assert (note in shown, "/workflows/other/" in shown) == (True, False)
    all_of_them = browser.get("/workflows/?retired=on").content.decode()
    assert (note in all_of_them, "/workflows/other/" in all_of_them) == (True, True)


def test_a_workflow_shows_its_steps_versions_and_authors(author: User, browser: Client, note: str) -> None:
    publish(None, steps=[step(), step(2, inputs=["paper-1"], acceptance={"instructions": "True?"})])
    page = browser.get(note)
    text = text_of(page)
    assert "Step 2 : Writer reads paper-1 and makes paper-2. a person decides" in text
    assert "Version 3 current author not recorded" in text
    assert "Version 2 ada" in text
    assert page.content.decode().count('class="arrow"') == 1
    earlier = text_of(browser.get(f"{note}?v=1"))
    assert "This is version 1. Version 3 is the current one." in earlier
    assert "First." in earlier
    compared = text_of(browser.get(f"{note}compare/?from=1&to=2"))
    assert "Changes from version 1 to 2" in compared
    assert "Task changed Write inserted: well ." in compared.replace(" .", " .")
    assert [browser.get(f"{note}{path}").status_code for path in ("?v=9", "?v=x", "compare/?to=9")] == [404] * 3


def test_pages_need_few_queries(author: User, browser: Client, note: str) -> None:
    for number in range(3, 9):
        publish(author, task=f"Write {number}.")
        publishing.publish(definition(id=f"note-{number}"), by=author, now=timezone.now())
    for path in ("/workflows/", note, f"{note}compare/?from=1&to=5", EDIT, "/workflows/-/new/?copy=note"):
        with CaptureQueriesContext(connection) as context:
            assert browser.get(path).status_code == 200
        assert len(context) <= MAX_QUERIES, path


def test_those_who_are_no_authors_see_everything_but_the_acts(author: User, note: str) -> None:
    eve = other_browser("eve")
    for path in ("/workflows/", note, f"{note}?v=1", f"{note}compare/"):
        page = eve.get(path)
        assert page.status_code == 200
        assert not any(act in page.content.decode() for act in ("/edit/", "/-/new/", "/retire/", "/current/"))
    assert "Write well." in eve.get(note).content.decode()
    for path in (EDIT, "/workflows/-/new/"):
        page = eve.get(path)
        assert page.status_code == 403
        assert "Only authors and staff change workflows." in text_of(page)
    for act in ("current", "retire", "restore"):
        sent = {"version": "1", "If-Match": "2"}
        assert eve.post(f"{note}{act}/", sent, headers=HTMX).status_code == 403
        assert Client().post(f"{note}{act}/", sent, headers=HTMX).status_code == 401
    assert eve.post(EDIT, {"base": "2", "definition": source()}, headers=HTMX).status_code == 403
    row = selectors.current("note")
    assert (row.version, row.workflow.retired_at) == (2, None)


def test_acts_happen_only_on_the_version_that_the_author_saw(author: User, browser: Client, note: str) -> None:
    sent = fields(browser.get(f"{note}?v=1"), "/current/")
    publish(author, task="Third.")
    refused = browser.post(f"{note}current/", sent, headers=HTMX)
    assert refused.status_code == 422
    assert "Version 3 has become the current one meanwhile. Nothing was changed." in refused.content.decode()
    sent = fields(browser.get(f"{note}?v=1"), "/current/")
    done = browser.post(f"{note}current/", sent, headers=HTMX)["HX-Redirect"]
    assert selectors.current("note").version == 1
    assert "Version 1 is the current one now." in text_of(browser.get(done))
    retired = browser.post(f"{note}retire/", fields(browser.get(note), "/retire/"), headers=HTMX)["HX-Redirect"]
    page = browser.get(retired).content.decode()
    assert "?workflow=note" not in page
    assert "no new ones start" in page
    browser.post(f"{note}restore/", fields(browser.get(note), "/restore/"))
    assert selectors.current("note").workflow.retired_at is None


@pytest.mark.parametrize("is_json", [False, True])
def test_check_shows_every_fault_at_its_line_and_stores_nothing(author: User, browser: Client, is_json: bool) -> None:
    wrong = plan(steps=[step(role="ghost"), step(2, inputs=["nothing"])])
    text = json.dumps(wrong, indent=1) if is_json else yaml.safe_dump(wrong, sort_keys=False)
    lines = text.split("\n")
    response = send(browser, "/workflows/-/new/", "check", definition=text.replace("\n", "\r\n"))
    assert response.status_code == 422
    page = response.content.decode()
    assert "2 faults" in page
    for number in (index for index, line in enumerate(lines, 1) if "ghost" in line or "nothing" in line):
        assert f'data-line="{number}"' in page
        assert f"<b>✗ {number}</b>" in page
    assert 'aria-invalid="true"' in page
    assert fields(response, "/new/")["definition"].strip() == text.strip()
    valid = send(browser, "/workflows/-/new/", "check", definition=source())
    assert (valid.status_code, "No faults" in text_of(valid)) == (200, True)
    assert not WorkflowVersion.objects.exists()


def test_a_try_is_a_dry_run_of_the_text(author: User, browser: Client, note: str) -> None:
    response = send(browser, EDIT, "try", definition=source(description="Tried."))
    execution = Execution.objects.get()
    assert response["HX-Redirect"] == f"/executions/{execution.pk}/"
    assert "HX-Trigger" not in response  # the browser keeps the text
    assert (execution.script is not None, execution.workflow_version.definition["description"]) == (True, "Tried.")
    refused = send(browser, EDIT, "try", definition=source(brief="required"))
    assert refused.status_code == 422
    assert "The try has not started. Brief:" in text_of(refused)
    assert Execution.objects.count() == 1
    assert selectors.current("note").version == 2


def test_publishing_says_first_what_it_changes_for_whom(author: User, browser: Client) -> None:
    reports.publish()
    reports.ask(reports.start(author))
    path, text = "/workflows/report/edit/", write_text(reports.definition("Another."))
    offered = send(browser, path, "publish", definition=text)
    told = text_of(offered)
    assert "Publish version 2?" in told
    assert "1 execution that runs keeps its version." in told
    assert "1 step with open questions: they stay." in told
    assert selectors.current("report").version == 1
    sent = fields(offered, "/edit/")
    changed = browser.post(path, sent | {"definition": text.replace("Another.", "Third.")}, headers=HTMX)
    assert (changed.status_code, "Publish version 2?" in text_of(changed)) == (200, True)
    done = browser.post(path, sent, headers=HTMX)
    assert done["HX-Trigger"] == "stored"
    page = browser.get(done["HX-Redirect"])
    assert "Version 2 is published, and the current one. 1 execution that runs keeps its version." in text_of(page)
    assert "/executions/new/?workflow=report" in page.content.decode()
    assert browser.post(path, sent, headers=HTMX)["HX-Redirect"] == done["HX-Redirect"]
    assert (selectors.current("report").version, selectors.current("report").publisher) == (2, "ada")  # type: ignore[attr-defined]
    same = send(browser, path, "publish")
    assert "Nothing has changed" in text_of(same)


def test_the_second_of_two_authors_is_told_and_loses_no_text(author: User, browser: Client, note: str) -> None:
    bob, mine = other_browser("bob", is_author=True), source(description="Mine.")
    offered = fields(send(browser, EDIT, "publish", definition=mine), "/edit/")
    of_bob = fields(send(bob, EDIT, "publish", definition=source(description="Of Bob.")), "/edit/")
    assert bob.post(EDIT, of_bob, headers=HTMX).status_code == 204
    assert "bob has published version 3" in browser.get(f"{note}parts/newer/?base=2").content.decode()
    refused = browser.post(EDIT, offered, headers=HTMX)
    told = text_of(refused)
    assert refused.status_code == 422
    assert "bob has published version 3" in told
    assert "inserted: Of Bob" in told
    again = fields(refused, "/edit/")
    assert again["definition"].strip() == mine.strip()
    kept = browser.post(EDIT, offered | {"show": "draft"}, headers=HTMX)
    assert "Your text began with version 2" in text_of(kept)
    assert browser.post(EDIT, again, headers=HTMX).status_code == 204
    assert (selectors.current("note").version, selectors.current("note").definition["description"]) == (4, "Mine.")


def test_a_copy_gets_an_id_of_its_own(author: User, browser: Client, note: str) -> None:
    taken = send(browser, "/workflows/-/new/", "publish", definition=source())
    assert "There is a workflow 'note' already." in text_of(taken)
    page = browser.get("/workflows/-/new/?copy=note")
    text = fields(page, "/new/")["definition"]
    assert text.strip().startswith("id: note-copy\nname: Copy of Note")
    offered = fields(send(browser, "/workflows/-/new/?copy=note", "publish"), "/new/")
    assert browser.post("/workflows/-/new/?copy=note", offered).headers["Location"].startswith("/workflows/note-copy/")
    again = fields(browser.get("/workflows/-/new/?copy=note"), "/new/")["definition"]
    assert again.strip().startswith("id: note-copy-2\n")


def test_the_text_of_a_workflow_is_the_same_workflow() -> None:
    for folder in folders():
        known = load_folder(folder)
        read = read_upload(write_text(known).encode(), Form.YAML).definition
        assert read.content_hash() == known.content_hash(), folder
    odd = definition(steps=[step(task="a\u2028b\nc\n\n"), step(2, task=" \tx\n  y \n"), step(3, task="no")])
    assert read_upload(write_text(odd).encode(), Form.YAML).definition == odd
