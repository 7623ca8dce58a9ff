"""The page of costs: what it shows to whom, where its cells lead, and with how many queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.services import ensure_user
from access.user import User
from executions.services.erasure.executions import erase_execution
from telemetry.models import ModelCall, ScopeBudget
from tests.factories import reports
from tests.factories.calls import announce, answered, call, scope_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12
MARCH = "/costs/?month=2026-03"


def text_of(page: Any) -> str:
    """Return what a page says."""
    body = page.content.decode().partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def link(page: Any, text: str, *, within: str = "") -> str:
    """Return where the first link with this text leads, after a place in the page."""
    content = page.content.decode().partition(within)[2] if within else page.content.decode()
    for href, inner in re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', content, re.DOTALL):
        if " ".join(unescape(re.sub(r"<[^>]+>", " ", inner)).split()) == text:
            return unescape(href).partition("#")[0]
    raise AssertionError(f"no link {text!r}")


def rows_of(page: Any, title: str) -> list[list[str]]:
    """Return the cells of the table in a section, without the head."""
    body = page.content.decode().partition(f'aria-labelledby="{title}"')[2].partition("<tbody>")[2]
    body = body.partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row] for row in cells]


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, number, hour, tzinfo=UTC)


def spend(user: User, number: int, cost: str | None = "1", **more: Any) -> UUID:
    """Record an answered call on a day of March."""
    given = {"started_at": day(number), "cost_usd": None if cost is None else Decimal(cost), **more}
    return answered(user, **given)


def test_the_running_month_is_one_click_away_and_split_by_day_and_model(ada: User, browser: Client) -> None:
    answered(ada, started_at=timezone.now(), cost_usd=Decimal(2))
    home = browser.get("/documents/")
    page = browser.get(link(home, "Costs"))
    assert 'href="/costs/" aria-current="page"' in page.content.decode()
    text = text_of(page)
    assert f"Costs of {timezone.localdate():%B %Y}" in text
    assert "Cost by day and model" in text
    [[_, total, cost]] = rows_of(page, "parts-title")
    assert (cost, total) == ("$2.00", "$2.00")


def test_days_models_and_shares_add_up(ada: User, browser: Client) -> None:
    execution = spend(ada, 3, "3")
    spend(ada, 3, "1", execution_id=execution, step_id="more", model="writer-2")
    spend(ada, 5, "0.5", model="writer-2", input_tokens=12_345)
    page = browser.get(MARCH)
    assert rows_of(page, "parts-title") == [
        ["Tue 3 Mar", "$4.00", "$3.00", "$1.00"],
        ["Thu 5 Mar", "$0.50", "\u2013 no calls", "$0.50"],
    ]
    first, second = rows_of(page, "groups-title")
    assert first == ["scripted writer-1", "$3.00", "67 %", "Executions: writer-1, 1", "1", "100", "48", "20"]
    assert second[:5] == ["scripted writer-2", "$1.50", "33 %", "Executions: writer-2, 2", "2"]
    assert second[5] == "12,445"
    text = text_of(page)
    assert "Total $4.50 Executions 2" in text
    assert "Days are those of UTC. Dry runs are left out." in text
    content = page.content.decode()
    assert content.count("<rect x=") == 2 * 3  # three bars, in each of two sizes
    assert "style=" not in content


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("model", ["scripted writer-1", "scripted writer-2"]),
        ("workflow", ["report", "minutes"]),
        ("scope", ["project alpha", "project beta"]),
        ("user", ["ada", "The system or an erased person"]),
        ("tag", ["pilot"]),
    ],
)
def test_each_group_has_a_link_to_itself_and_to_its_executions(
    ada: User, browser: Client, group: str, names: list[str]
) -> None:
    dear = spend(ada, 3, "3", tags=("pilot",))
    cheap = spend(ada, 4, "1", workflow_id="minutes", model="writer-2", user_id=None, scope_id=scope_of(ada, "beta").id)
    page = browser.get(f"{MARCH}&cross=day,{group}")
    rows = rows_of(page, "groups-title")
    assert [row[0] for row in rows] == names
    assert [row[1] for row in rows] == ["$3.00", "$1.00"][: len(names)]
    for execution, name in zip((dear, cheap), names, strict=False):
        if name.startswith("The system"):
            continue
        last = name.split()[-1]
        narrowed = browser.get(link(page, last, within='aria-labelledby="groups-title"'))
        assert [row[0] for row in rows_of(narrowed, "groups-title")] == [name]
        [found] = rows_of(browser.get(link(page, f"Executions: {last}, 1")), "executions-title")
        assert found[0].startswith(ModelCall.objects.get(execution_id=execution).workflow_id)


def test_a_cell_leads_to_the_executions_it_consists_of(ada: User, browser: Client) -> None:
    reports.publish()
    known = reports.start(ada, key="alpha")
    spend(ada, 3, "3", execution_id=known.id)
    spend(ada, 3, "1", model="writer-2")
    spend(ada, 4, "7")
    page = browser.get(MARCH)
    listed = browser.get(link(page, "$3.00"))
    [row] = rows_of(listed, "executions-title")
    assert row[0] == f"report {known.id}"
    assert row[-1] == "$3.00"
    assert f'href="/executions/{known.id}/"' in listed.content.decode()
    assert "Costs of 3 March 2026" in text_of(listed)
    whole_day = rows_of(browser.get(link(page, "Tue 3 Mar")), "executions-title")
    assert [(each[1], each[-1]) for each in whole_day] == [(known.status, "$3.00"), ("erased", "$1.00")]
    assert rows_of(browser.get(link(listed, "Hide this list")), "executions-title") == []


def test_executions_come_in_pages(ada: User, browser: Client) -> None:
    for number in range(30):
        spend(ada, 3, str(number + 1))
    first = browser.get(f"{MARCH}&show=executions")
    second = browser.get(link(first, "Next page"))
    costs = [row[-1] for page in (first, second) for row in rows_of(page, "executions-title")]
    assert costs == [f"${number}.00" for number in range(30, 0, -1)]
    assert rows_of(browser.get(link(second, "First page")), "executions-title")[0][-1] == "$30.00"
    assert browser.get(f"{MARCH}&show=executions&cursor=bm8").status_code == 400


def test_unknown_costs_stand_apart_and_are_never_zero(ada: User, browser: Client) -> None:
    lost: dict[str, Any] = {"status": "unknown", "workflow_id": "minutes"}
    announce(
        call(ada, **lost, started_at=day(4), estimated_cost_usd=Decimal("0.3")),
        call(ada, **lost, started_at=day(6), estimated_cost_usd=Decimal("0.1")),
        call(ada, **lost, started_at=day(5)),
        call(ada, status="failed", started_at=day(5), estimated_cost_usd=Decimal(9)),
    )
    spend(ada, 4, "2")
    page = browser.get(f"{MARCH}&cross=day,workflow")
    text = text_of(page)
    assert "3 calls of unknown cost, at most $0.40, and one call without a known price." in text
    assert "Total ≥ at least $2.00" in text
    assert "Per execution ≥ at least $0.40" in text
    [known, unknown] = rows_of(page, "groups-title")
    assert (known[0], known[1]) == ("report", "$2.00")
    assert (unknown[0], unknown[1]) == ("minutes", "unknown")
    listed = browser.get(link(page, "Show their executions"))
    assert [(row[-2], row[-1]) for row in rows_of(listed, "executions-title")].count(("unknown", "no known price")) == 1
    assert len(rows_of(listed, "executions-title")) == 3
    only_unpriced = text_of(browser.get("/costs/?from=2026-03-05&to=2026-03-05"))
    assert "One call of unknown cost, without a known price." in only_unpriced
    assert "unknown cost" not in text_of(browser.get("/costs/?from=2026-03-07&to=2026-03-08"))


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", "$3.00"),
        ("&workflow_id=minutes", "$1.00"),
        ("&scope_type=project&scope_id=beta", "$1.00"),
        ("&user=ada", "$3.00"),
        ("&user=eve", "$0"),
        ("&model=scripted:writer-1", "$3.00"),
        ("&tag=pilot", "$1.00"),
        ("&tag=pilot&workflow_id=report", "$0"),
        ("&dry_run=include", "$8.00"),
        ("&dry_run=only", "$5.00"),
    ],
)
def test_filters_stand_in_the_address(ada: User, browser: Client, query: str, total: str) -> None:
    spend(ada, 3, "2")
    spend(ada, 3, "1", workflow_id="minutes", tags=("pilot",), scope_id=scope_of(ada, "beta").id)
    spend(ada, 3, "5", dry_run=True)
    page = browser.get(f"{MARCH}{query}")
    assert f"Total {total} " in text_of(page)
    for name, value in (each.split("=") for each in query.split("&") if each):
        assert 'aria-label="Take away the filter ' in page.content.decode(), name
        assert value in page.content.decode()


def test_the_form_shows_what_the_address_says(browser: Client) -> None:
    page = browser.get(f"{MARCH}&model=x:y&user=ada&dry_run=only&cross=day,tag").content.decode()
    for name, value in {"model": "x:y", "user": "ada", "from": "2026-03-01", "to": "2026-03-31", "tag": None}.items():
        [field] = re.findall(rf'<input [^>]*name="{name}"[^>]*>', page)
        assert (f'value="{value}"' in field) is (value is not None), field
        assert ("value=" in field) is (value is not None), field
    assert re.findall(r'<option value="([^"]*)" selected>', page) == ["day,tag", "only"]


def test_a_person_sees_the_sums_of_the_scopes_that_they_may_read(ada: User, browser: Client) -> None:
    eve = ensure_user(name="eve")
    spend(ada, 3, "2")
    spend(eve, 3, "5", scope=scope_of(eve, "beta"), workflow_id="secret")
    page = browser.get(f"{MARCH}&cross=day,workflow&show=executions")
    assert "Total $2.00" in text_of(page)
    assert "secret" not in page.content.decode()
    for query in ("&workflow_id=secret", "&user=eve", "&scope_type=project&scope_id=beta"):
        hidden = browser.get(f"{MARCH}{query}&show=executions")
        assert "Total $0 " in text_of(hidden), query
        assert rows_of(hidden, "executions-title") == []
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    page = browser.get(MARCH)
    assert "Total $7.00" in text_of(page)
    assert "scopes that you may read" not in text_of(page)


def test_days_are_those_of_the_reader(ada: User, browser: Client) -> None:
    User.objects.filter(pk=ada.pk).update(time_zone="Asia/Tokyo")
    spend(ada, 3, "2", started_at=day(3, 15))  # midnight in Tokyo
    page = browser.get(MARCH)
    assert [row[0] for row in rows_of(page, "parts-title")] == ["Wed 4 Mar"]
    assert "Days are those of Asia/Tokyo." in text_of(page)
    table = browser.get(link(page, "CSV")).content.decode()
    assert "day,model" in table
    assert "2026-03-04" in table
    assert table.count("2.0000000000") == 2 * 3  # cost and known cost: in total, by model, by day and model


def test_months_lead_to_those_before_and_after(ada: User, browser: Client) -> None:
    page = browser.get(MARCH)
    assert link(page, "◂ Feb 2026") == "/costs/?month=2026-02&cross=day%2Cmodel"
    assert link(page, "Apr 2026 ▸") == "/costs/?month=2026-04&cross=day%2Cmodel"
    assert "▸" not in text_of(browser.get("/costs/"))
    assert "Costs from 3 Mar 2026 to 9 Mar 2026" in text_of(browser.get("/costs/?from=2026-03-03&to=2026-03-09"))
    assert "No calls of models in this period." in text_of(page)


def test_a_year_is_shown_by_month(ada: User, browser: Client) -> None:
    for number, cost in ((1, "1"), (40, "2"), (41, "3")):
        spend(ada, 1, cost, started_at=day(1) + timedelta(days=number))
    page = browser.get("/costs/?from=2026-01-01&to=2026-12-31")
    assert "Cost by month and model" in text_of(page)
    assert rows_of(page, "parts-title") == [["March 2026", "$1.00", "$1.00"], ["April 2026", "$5.00", "$5.00"]]
    april = browser.get(link(page, "$5.00"))
    assert [row[-1] for row in rows_of(april, "executions-title")] == ["$3.00", "$2.00"]


@pytest.mark.parametrize("group", ["workflow", "scope"])
@pytest.mark.parametrize(
    ("count", "costs"),
    [
        (9, ["$45.00", "$9.00", "$8.00", "$7.00", "$6.00", "$5.00", "$10.00"]),
        (6, ["$39.00", "$9.00", "$8.00", "$7.00", "$6.00", "$5.00", "$4.00"]),
    ],
)
def test_many_groups_share_the_last_bars(ada: User, browser: Client, group: str, count: int, costs: list[str]) -> None:
    for number in range(count):
        spend(ada, 3, str(9 - number), workflow_id=f"group-{number}", scope=scope_of(ada, f"group-{number}"))
    spend(ada, 4, "0.5", workflow_id=f"group-{count - 1}", scope=scope_of(ada, f"group-{count - 1}"))
    spend(ada, 4, None, workflow_id=f"group-{count - 1}", scope=scope_of(ada, f"group-{count - 1}"))
    page = browser.get(f"{MARCH}&cross=day,{group}")
    assert ("others" in text_of(page)) is (count > 6)
    first, second = rows_of(page, "parts-title")
    assert first[1:] == costs
    assert second[1:] == ["\u2265 at least $0.50", *["\u2013 no calls"] * 5, "\u2265 at least $0.50"]
    assert len(rows_of(page, "groups-title")) == count


def test_several_tags_of_a_call_do_not_count_twice_in_the_total(ada: User, browser: Client) -> None:
    spend(ada, 3, "2", tags=("pilot", "q3"))
    spend(ada, 3, "1")
    page = browser.get(f"{MARCH}&cross=day,tag")
    assert rows_of(page, "parts-title") == [["Tue 3 Mar", "$3.00", "$2.00", "$2.00"]]
    assert "The column Total counts every call once." in text_of(page)
    spend(ada, 4, "1")
    untagged = rows_of(browser.get(f"{MARCH}&cross=day,tag"), "parts-title")[1]
    assert untagged[1] == "$1.00"


def test_budgets_belong_to_the_running_month(ada: User, browser: Client) -> None:
    scope = scope_of(ada)
    ScopeBudget.objects.create(scope=scope, max_cost_usd=Decimal(60))
    ScopeBudget.objects.create(scope=scope_of(ensure_user(name="eve"), "beta"), max_cost_usd=Decimal(10))
    answered(ada, started_at=timezone.now(), cost_usd=Decimal(15))
    text = text_of(browser.get("/costs/"))
    assert f"Budgets of {timezone.now():%B %Y} project alpha $15.00 of $60.00 (25 %)" in text
    assert "beta" not in text
    assert "Budgets of" in text_of(browser.get("/costs/?scope_type=project&scope_id=alpha"))
    for query in ("scope_id=other", "workflow_id=report", "month=2026-03"):
        assert "Budgets of" not in text_of(browser.get(f"/costs/?{query}")), query


def test_the_running_month_has_a_forecast_once_three_days_are_full(ada: User, browser: Client) -> None:
    now = timezone.now()
    for number in range(now.day):
        answered(ada, started_at=now - timedelta(days=number), cost_usd=Decimal(1))
    assert ("Forecast (estimate)" in text_of(browser.get("/costs/"))) is (now.day > 3)
    for number in range(1, 11):
        spend(ada, number)
    assert "Forecast" not in text_of(browser.get(MARCH))
    today = now.date().isoformat()
    assert "Forecast" not in text_of(browser.get(f"/costs/?from={today[:8]}02&to={today}"))


def test_a_workflow_that_is_filtered_for_has_its_percentiles(ada: User, browser: Client) -> None:
    reports.publish()
    for cost in ("1", "2", "3"):
        spend(ada, 3, cost, execution_id=reports.start(ada, key="alpha").id)
    text = text_of(browser.get(f"{MARCH}&workflow_id=report"))
    assert "One execution of report Median cost $2.00 95th percentile $3.00" in text
    assert "Median cost" not in text_of(browser.get(MARCH))
    assert "Median cost" not in text_of(browser.get(f"{MARCH}&workflow_id=other"))


def test_the_budgets_of_which_most_is_spent_come_first(ada: User, browser: Client) -> None:
    for number in range(10):
        scope = scope_of(ada, f"scope-{number}")
        ScopeBudget.objects.create(scope=scope, max_cost_usd=Decimal(0 if number == 4 else 100))
        answered(ada, scope, started_at=timezone.now(), cost_usd=Decimal(number))
    page = browser.get("/costs/")
    shown = re.findall(r'id="budget-\d+">.*?scope-(\d)</span>', page.content.decode())
    assert shown == ["4", "9", "8", "7", "6", "5", "3", "2"]
    assert "Those of which most is spent are shown" in text_of(page)
    assert "$4.00 of $0.00 (100 %)" in text_of(page)


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-02-30", "month=2026-13", "model=gpt", "cross=day,step"])
def test_a_fault_of_the_address_is_said_at_its_field(ada: User, browser: Client, query: str) -> None:
    page = browser.get(f"/costs/?{query}")
    assert page.status_code == 200
    assert 'class="fault"' in page.content.decode()
    assert "Total" not in text_of(page)


def test_a_page_needs_few_queries_however_many_groups_there_are(ada: User, browser: Client) -> None:
    ScopeBudget.objects.create(scope=scope_of(ada), max_cost_usd=Decimal(60))

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as context:
            assert browser.get(path).status_code == 200
        return len(context)

    paths = [
        "/costs/",
        *(f"{MARCH}&cross=day,{group}" for group in ("model", "workflow", "scope", "user", "tag")),
        f"{MARCH}&show=executions&cost=unknown&user=ada&scope_id=alpha&scope_type=project",
    ]
    answered(ada, started_at=timezone.now())
    few = {path: queries(path) for path in paths}
    for number in range(20):
        more: dict[str, Any] = {"workflow_id": f"w-{number}", "tags": (f"t-{number}",), "model": f"m-{number}"}
        spend(ada, 3, None, scope=scope_of(ada, f"s-{number}"), **more)
    many = {path: queries(path) for path in paths}
    assert max(many.values()) <= MAX_QUERIES, many
    assert max(few.values()) <= MAX_QUERIES, few


def test_strangers_log_in_first(db: None) -> None:
    response = Client().get("/costs/?month=2026-03")
    assert (response.status_code, response["Location"]) == (302, "/login/?next=/costs/%3Fmonth%3D2026-03")


def test_an_erased_execution_is_marked_among_those_of_a_sum(ada: User, browser: Client) -> None:
    reports.publish()
    ended = reports.start(ada, key="alpha")
    spend(ada, 3, "3", execution_id=ended.id)
    reports.cancel(ada, ended.id)
    erase_execution(user=ada, execution_id=ended.id, now=timezone.now())
    [row] = rows_of(browser.get(f"{MARCH}&show=executions"), "executions-title")
    assert row[1] == "cancelled erased"
