"""The start page and the menu of the admin: what runs, fails, waits and costs, and which workers live."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from access.services import ensure_user
from access.user import User
from executions.models import WorkerHeartbeat
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db(transaction=True)  # sums of costs are read in a snapshot


@pytest.fixture
def staff(caller: Callable[..., Caller]) -> Client:
    """The browser of a superuser."""
    browser = Client()
    browser.force_login(caller("root", staff=True).user)
    return browser


def tiles(browser: Client) -> dict[str, str]:
    """Return the numbers of the page by their labels and notes."""
    return {f"{tile.label} {tile.note}".strip(): str(tile.value) for tile in browser.get("/admin/").context["tiles"]}


def test_an_empty_installation_has_zeros_and_says_that_no_worker_runs(staff: Client) -> None:
    found = tiles(staff)
    assert {found[label] for label in ("Running", "In the queue", "Waiting", "Begun in 24 hours and failed")} == {"0"}
    assert "$0" in found["Spent today"]
    page = staff.get("/admin/").content.decode()
    assert "manage.py worker" in page


def test_the_page_tells_what_runs_fails_waits_and_costs(ada: Caller, report: int, staff: Client) -> None:
    reports.start(ada.user)
    reports.claim(reports.start(ada.user))
    reports.ask(reports.start(ada.user, key="asks"))
    reports.finish(reports.start(ada.user, key="done"))
    failed = reports.fail(reports.start(ada.user, key="fails"))
    found = tiles(staff)
    wanted = {
        **{"Running": "1", "In the queue": "1", "Waiting": "1", "Begun in 24 hours and failed": "1"},
        **{"Waits for people question to answer": "1", "Waits for people failed execution": "1"},
    }
    assert wanted.items() <= found.items()
    spent = [value for label, value in found.items() if label.startswith("Spent")]
    assert len(spent) == 2
    assert all(re.search(r"\$0\.00[1-9]", value) for value in spent)
    page = staff.get("/admin/").content.decode()
    assert f"/admin/executions/execution/{failed.id}/change/" in page
    assert f'title="{failed.id}"' in page


def test_each_number_leads_to_a_page_that_exists(ada: Caller, report: int, staff: Client) -> None:
    reports.ask(reports.start(ada.user))
    reports.fail(reports.start(ada.user, key="fails"))
    for tile in staff.get("/admin/").context["tiles"]:
        response = staff.get(tile.href)
        assert response.status_code == 200, tile.href
        if tile.href.startswith("/admin/"):
            assert len(response.context["cl"].result_list) == int(tile.value), tile.label


def test_a_worker_without_a_sign_of_life_is_named_silent(staff: Client) -> None:
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="runner-1", started_at=now, heartbeat_at=now)
    WorkerHeartbeat.objects.create(name="runner-2", started_at=now, heartbeat_at=now - timedelta(hours=1))
    workers = staff.get("/admin/").context["workers"]
    assert [(each["name"], each["is_alive"]) for each in workers] == [("runner-1", True), ("runner-2", False)]
    assert ">silent</strong>" in staff.get("/admin/").content.decode()
    assert "silent" in staff.get("/admin/executions/workerheartbeat/").content.decode()


def test_who_may_see_no_list_sees_no_number_either() -> None:
    user = ensure_user(name="looker")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.user_permissions.set(Permission.objects.filter(codename="view_document"))
    browser = Client()
    browser.force_login(user)
    context = browser.get("/admin/").context
    assert context["tiles"] == []
    assert "failures" not in context
    assert "workers" not in context
    assert [str(group["name"]) for group in context["app_list"]] == ["Work"]


def test_the_page_takes_few_queries(ada: Caller, report: int, staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        reports.fail(reports.start(ada.user, key=f"fails-{number}"))
    staff.get("/admin/")
    statements: list[object] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(query)
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    assert len(staff.get("/admin/").context["failures"]) == 8
    settings = ("BEGIN", "SET ", "SELECT set_config")
    read = [each for each in statements if not str(each).strip().startswith(settings)]
    assert len(read) <= 20, read


def test_the_menu_has_groups_and_names_that_people_use(staff: Client) -> None:
    menu = {
        str(group["name"]): [str(each["name"]) for each in group["models"]]
        for group in staff.get("/admin/").context["app_list"]
    }
    assert list(menu) == ["Work", "Costs and limits", "People and scopes", "Operation"]
    assert menu["Operation"] == ["Workers", "Jobs"]
    assert "Audit log" in menu["People and scopes"]


def test_times_are_in_the_zone_of_the_reader_with_its_name(ada: Caller, report: int, staff: Client) -> None:
    execution = reports.start(ada.user)
    path = f"/admin/executions/execution/{execution.id}/change/"
    assert re.search(r"\d{2}:\d{2} UTC", staff.get(path).content.decode())
    User.objects.filter(username="root").update(time_zone="Asia/Tokyo")
    page = staff.get(path).content.decode()
    assert re.search(r"\d{2}:\d{2} JST", page)
    assert " UTC" not in page
