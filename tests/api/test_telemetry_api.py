"""`GET /telemetry/summary`: costs and tokens of a period, over the scopes that the reader may see."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import ScopeRole
from access.user import User
from tests.factories.calls import NOON, TOKENS, announce, answered, call, scope_of

pytestmark = pytest.mark.django_db

Api = Callable[..., APIClient]
SUMS = {
    "calls",
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_usd",
    "known_cost_usd",
    "cost_complete",
    "unpriced_calls",
    "cost_final",
    "executions",
}


def get(client: APIClient, slash: str = "", **query: Any) -> Any:
    return client.get(f"/api/v1/telemetry/summary{slash}", query)


def calls(client: APIClient, **query: Any) -> int:
    """Return how many calls a summary counts."""
    response = get(client, **query)
    assert response.status_code == 200, response.content
    return int(response.json()["totals"]["calls"])


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_summary_has_totals_averages_and_workflows(api: Api, alice: User, slash: str) -> None:
    execution = answered(alice, cost_usd=Decimal("0.01"))
    answered(alice, execution_id=execution, step_id="summary", cost_usd=Decimal("0.02"), latency_ms=750)
    answered(alice, workflow_id="minutes", cost_usd=Decimal("0.04"))
    response = get(api(alice), slash)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"from", "to", "tz", "totals", "averages", "by_workflow", "groups"}
    assert (body["from"], body["to"], body["tz"], body["groups"]) == (None, None, "UTC", {})
    totals = body["totals"]
    assert set(totals) == SUMS
    assert (totals["executions"], totals["calls"], totals["total_tokens"]) == (2, 3, 3 * TOKENS)
    assert (totals["cost_usd"], totals["known_cost_usd"]) == ("0.0700000000", "0.0700000000")
    assert (totals["cost_complete"], totals["cost_final"]) == (True, True)
    assert body["averages"] == {
        "cost_usd_per_execution": "0.0350000000",
        "tokens_per_execution": 252.0,
        "calls_per_execution": 1.5,
        "latency_ms_per_call": pytest.approx(1250 / 3),
    }
    rows = {row["workflow_id"]: (row["executions"], row["calls"], row["cost_usd"]) for row in body["by_workflow"]}
    assert rows == {"minutes": (1, 1, "0.0400000000"), "report": (1, 2, "0.0300000000")}
    assert all(set(row) == SUMS | {"workflow_id"} for row in body["by_workflow"])


def test_where_nothing_was_spent_there_is_nothing_to_average(api: Api, alice: User) -> None:
    body = get(api(alice)).json()
    assert (body["totals"]["calls"], body["totals"]["cost_usd"], body["by_workflow"]) == (0, "0.0000000000", [])
    assert set(body["averages"].values()) == {None}


def test_a_price_that_is_not_known_makes_the_sum_unknown_and_leaves_the_rest(api: Api, alice: User) -> None:
    answered(alice)
    answered(alice, workflow_id="minutes", cost_usd=None)
    body = get(api(alice)).json()
    totals = body["totals"]
    assert (totals["cost_usd"], totals["known_cost_usd"], totals["cost_complete"]) == (None, "0.0012000000", False)
    assert body["averages"]["cost_usd_per_execution"] is None
    assert [(row["workflow_id"], row["cost_usd"]) for row in body["by_workflow"]] == [
        ("minutes", None),
        ("report", "0.0012000000"),
    ]


def test_a_call_under_way_makes_the_sum_not_final(api: Api, alice: User) -> None:
    announce(call(alice))
    totals = get(api(alice)).json()["totals"]
    assert (totals["cost_final"], totals["cost_complete"], totals["cost_usd"]) == (False, False, None)


def test_a_span_holds_its_first_moment_and_not_its_last(api: Api, alice: User) -> None:
    client = api(alice)
    for seconds in range(3):
        answered(alice, started_at=NOON + timedelta(seconds=seconds))
    span = {"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T12:00:02Z"}
    assert calls(client, **span) == 2
    assert calls(client, to=span["from"]) == 0
    assert calls(client, **{"from": "2026-03-01T12:00:00.000001Z"}) == 2
    assert calls(client, **{"from": span["to"], "to": span["to"]}) == 0
    body = get(client, **span).json()
    assert (body["from"], body["to"]) == ("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:02.000Z")


def test_adjacent_spans_count_every_call_once(api: Api, alice: User) -> None:
    client = api(alice)
    for hours in range(-30, 31, 5):
        answered(alice, started_at=NOON + timedelta(hours=hours))
    days = ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03"]
    parts = [calls(client, **{"from": first, "to": last}) for first, last in pairwise(days)]
    assert sum(parts) == calls(client) == 13
    assert all(parts)


def test_a_date_is_midnight_in_the_time_zone_that_was_named(api: Api, alice: User) -> None:
    client = api(alice)
    answered(alice, started_at=datetime(2026, 2, 28, 23, 30, tzinfo=UTC))  # 00:30 on 1 March in Berlin
    march = {"from": "2026-03-01", "to": "2026-04-01"}
    assert (calls(client, **march), calls(client, **march, tz="Europe/Berlin")) == (0, 1)
    assert get(client, **march, tz="Europe/Berlin").json()["from"] == "2026-02-28T23:00:00.000Z"
    assert calls(client, **{"from": "2026-03-01T00:30:00+01:00"}) == 1
    assert calls(client, **{"from": "2026-03-01T00:30:01+01:00"}) == 0


def test_days_are_those_of_the_time_zone_through_a_change_of_clocks(api: Api, alice: User) -> None:
    moments = [(28, 22, 59), (28, 23, 0), (29, 21, 59), (29, 22, 0)]  # the clocks go forward on 29 March
    for day, hour, minute in moments:
        answered(alice, started_at=datetime(2026, 3, day, hour, minute, tzinfo=UTC))
    client = api(alice)

    def by_day(tz: str) -> dict[str, int]:
        rows = get(client, tz=tz, group_by="day").json()["groups"]["day"]
        return {row["day"]: row["calls"] for row in rows}

    assert by_day("Europe/Berlin") == {"2026-03-28": 1, "2026-03-29": 2, "2026-03-30": 1}
    assert by_day("UTC") == {"2026-03-28": 2, "2026-03-29": 2}


GROUPS = {
    "day": {"day"},
    "model": {"provider", "model"},
    "workflow": {"workflow_id"},
    "step": {"workflow_id", "step_id"},
    "scope": {"scope_type", "scope_id"},
    "user": {"user"},
    "tag": {"tag"},
}


def test_every_group_adds_up_to_the_whole(api: Api, alice: User, bob: User, staff: User) -> None:
    for number, user in enumerate([alice, bob, alice]):
        answered(
            user,
            scope_of(user, f"scope-{user}"),
            step_id=f"step-{number}",
            workflow_id=f"workflow-{number % 2}",
            model=f"writer-{number}",
            started_at=NOON + timedelta(days=number),
            cost_usd=Decimal(number + 1) / 7,
            tags=(f"tag-{number % 2}",),
        )
    announce(call(alice, user_id=None, step_id="pending", tags=("pending",)))
    body = get(api(staff), group_by=",".join(GROUPS)).json()
    assert list(body["groups"]) == list(GROUPS)
    for name, key in GROUPS.items():
        rows = body["groups"][name]
        assert len(rows) > 1, name
        assert all(set(row) == SUMS | key for row in rows), name
        for field in ("calls", "total_tokens", "input_tokens", "reasoning_tokens", "executions"):
            assert sum(row[field] for row in rows) == body["totals"][field], (name, field)
        known = sum(Decimal(row["known_cost_usd"]) for row in rows)
        assert known == Decimal(body["totals"]["known_cost_usd"]), name
        assert [row["cost_final"] for row in rows].count(False) == 1, name
    assert body["groups"]["user"][-1]["user"] is None


def test_what_has_several_tags_is_in_the_group_of_each(api: Api, alice: User) -> None:
    answered(alice, tags=("pilot", "q3"))
    answered(alice, tags=("pilot",))
    answered(alice)
    body = get(api(alice), group_by="tag").json()
    assert [(row["tag"], row["calls"]) for row in body["groups"]["tag"]] == [("pilot", 2), ("q3", 1)]
    assert body["totals"]["calls"] == 3


def test_groups_come_one_by_one_too(api: Api, alice: User) -> None:
    answered(alice)
    body = get(api(alice), group_by="scope").json()
    assert list(body["groups"]) == ["scope"]
    (row,) = body["groups"]["scope"]
    assert (row["scope_type"], row["scope_id"], row["calls"]) == ("project", "alpha", 1)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "yesterday"}, "/from"),
        ({"from": "2026-02-30"}, "/from"),
        ({"to": "2026-03-01T25:00:00Z"}, "/to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "/to"),
        ({"from": "0001-01-01", "tz": "Asia/Tokyo"}, "/from"),
        ({"to": "9999-12-31T23:59:59-05:00"}, "/to"),
        ({"tz": "Mars/Olympus"}, "/tz"),
        ({"tz": "../UTC"}, "/tz"),
        ({"tz": "Europe"}, "/tz"),
        ({"tz": "localtime"}, "/tz"),
        ({"group_by": "tags"}, "/group_by"),
        ({"group_by": "day,colour"}, "/group_by"),
        ({"cross": "day"}, "/cross"),
        ({"cross": "day,day"}, "/cross"),
        ({"cross": "model,step"}, "/cross"),
        ({"cross": "day,model,step"}, "/cross"),
        ({"form": "2026-03-01"}, "/form"),
        ({"limit": "5"}, "/limit"),
        ({"tz": ["UTC", "Europe/Berlin"]}, "/tz"),
        ({"model": "gpt"}, "/model"),
    ],
)
def test_a_query_that_cannot_be_right_is_named(api: Api, alice: User, query: dict[str, Any], pointer: str) -> None:
    response = get(api(alice), **{"group_by": "day", **query})
    assert response.status_code == 422, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_a_summary_counts_what_the_reader_may_see(api: Api, alice: User, bob: User, staff: User) -> None:
    answered(alice, tags=("pilot",))
    answered(bob, scope_of(bob, "beta"), cost_usd=None, tags=("beta",))
    every = {"group_by": ",".join(GROUPS)}
    assert (calls(api(alice)), calls(api(bob)), calls(api(staff))) == (1, 1, 2)
    body = get(api(alice), **every).json()
    assert (body["totals"]["executions"], body["totals"]["cost_complete"]) == (1, True)
    assert all(sum(row["calls"] for row in rows) == 1 for rows in body["groups"].values())
    assert "beta" not in str(body)
    assert "bob" not in str(body)
    ScopeRole.objects.create(scope=scope_of(bob, "beta"), user=alice, role="viewer")
    assert calls(api(alice)) == 2


def test_a_summary_is_shown_to_those_who_say_who_they_are(api: Api, db: None) -> None:
    response = get(api())
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("repeated", ["day", "model", "day,model", " day ,day", "tag"])
def test_a_group_that_is_named_again_and_again_is_looked_for_once(
    api: Api, alice: User, django_assert_max_num_queries: Any, repeated: str
) -> None:
    client = api(alice)
    with django_assert_max_num_queries(8):
        body = get(client, group_by=",".join([repeated] * 1000)).json()
    assert set(body["groups"]) == {name.strip() for name in repeated.split(",")}


def test_two_groupings_make_a_table_of_both(api: Api, alice: User) -> None:
    execution = answered(alice, cost_usd=Decimal("0.5"))
    answered(alice, execution_id=execution, step_id="more", model="writer-2")
    answered(alice, started_at=NOON + timedelta(days=1), cost_usd=None)
    client = api(alice)
    assert "cross" not in get(client).json()
    body = get(client, cross="day,model").json()
    assert all(set(row) == SUMS | {"day", "provider", "model"} for row in body["cross"])
    assert [(row["day"], row["model"], row["calls"], row["cost_usd"]) for row in body["cross"]] == [
        ("2026-03-01", "writer-1", 1, "0.5000000000"),
        ("2026-03-01", "writer-2", 1, "0.0012000000"),
        ("2026-03-02", "writer-1", 1, None),
    ]
    assert get(client, cross="model , day").json()["cross"] == body["cross"]
    users = get(client, cross="day,user", tz="Pacific/Kiritimati").json()["cross"]
    assert [(row["day"], row["user"], row["executions"]) for row in users] == [
        ("2026-03-02", "alice", 1),
        ("2026-03-03", "alice", 1),
    ]


@pytest.mark.parametrize("asked", [{"HTTP_ACCEPT": "text/csv"}, {"format": "csv"}])
def test_a_summary_is_a_table_of_a_spreadsheet_too(api: Api, alice: User, asked: dict[str, str]) -> None:
    answered(alice, workflow_id="minutes")
    answered(alice, cost_usd=None, step_id="\u00e9tude")
    headers: dict[str, Any] = {name: value for name, value in asked.items() if name.startswith("HTTP")}
    query = {name: value for name, value in asked.items() if name not in headers}
    client = api(alice)
    response = client.get("/api/v1/telemetry/summary", query, **headers)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert response.headers["Content-Disposition"] == 'attachment; filename="costs.csv"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [(row["group"], row["workflow_id"], row["calls"], row["cost_usd"]) for row in rows] == [
        ("total", "", "2", ""),
        ("workflow", "minutes", "1", "0.0012000000"),
        ("workflow", "report", "1", ""),
    ]
    assert [row["cost_complete"] for row in rows] == ["false", "true", "false"]
    response = client.get("/api/v1/telemetry/summary", {**query, "group_by": "step", "cross": "day,model"}, **headers)
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [(row["group"], row["step_id"], row["day"], row["model"]) for row in rows] == [
        ("total", "", "", ""),
        ("step", "research", "", ""),
        ("step", "\u00e9tude", "", ""),
        ("day,model", "", "2026-03-01", "writer-1"),
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t"])
def test_a_text_is_no_formula_in_a_spreadsheet(api: Api, alice: User, begin: str) -> None:
    answered(alice, model=f"{begin}HYPERLINK(1)", tags=(f"{begin}1,2",))
    client = api(alice)
    found = client.get("/api/v1/telemetry/summary", {"group_by": "model,tag"}, HTTP_ACCEPT="text/csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(found)))
    assert [row["model"] or row["tag"] for row in rows] == ["", f"'{begin}HYPERLINK(1)", f"'{begin}1,2"]


def test_a_problem_is_json_where_a_table_was_asked_for(api: Api, alice: User) -> None:
    response = api(alice).get("/api/v1/telemetry/summary", {"tz": "Mars"}, HTTP_ACCEPT="text/csv")
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/tz")


@pytest.mark.parametrize(
    ("query", "counted"),
    [
        ({"workflow_id": "minutes"}, 1),
        ({"workflow_id": "other"}, 0),
        ({"scope_type": "project", "scope_id": "alpha"}, 3),
        ({"scope_id": "beta"}, 1),
        ({"scope_type": "team"}, 0),
        ({"user": "alice"}, 3),
        ({"user": "eve"}, 0),
        ({"model": "scripted:writer-2"}, 1),
        ({"model": ":"}, 1),
        ({"tag": "pilot"}, 2),
        ({"tag": "pilot", "user": "bob"}, 1),
    ],
)
def test_filters_narrow_the_calls(
    api: Api, alice: User, bob: User, staff: User, query: dict[str, str], counted: int
) -> None:
    answered(alice, workflow_id="minutes", tags=("pilot",))
    answered(alice, model="writer-2")
    announce(call(alice))
    answered(bob, scope_of(bob, "beta"), tags=("pilot", "q3"))
    assert calls(api(staff), **query) == counted
    body = get(api(staff), **query, cross="day,model", group_by="tag,scope").json()
    assert sum(row["calls"] for row in body["cross"]) == counted
    assert sum(row["calls"] for row in body["groups"]["scope"]) == counted
    assert {row["tag"] for row in body["groups"]["tag"]} >= ({"pilot"} if "tag" in query else set())
    assert calls(api(bob), **query) <= 1


def shares(client: APIClient, **query: Any) -> Any:
    response = client.get("/api/v1/telemetry/executions", query)
    assert response.status_code == 200, response.content
    return response.json()


def test_the_executions_of_a_sum_add_up_to_it(api: Api, alice: User, bob: User) -> None:
    dear, cheap = answered(alice, cost_usd=Decimal("0.5")), answered(alice, cost_usd=Decimal("0.25"))
    answered(alice, execution_id=dear, step_id="more", model="writer-2", cost_usd=Decimal("0.1"))
    answered(bob, scope_of(bob, "beta"))
    client = api(alice)
    page = shares(client)
    assert [row["execution_id"] for row in page["data"]] == [str(dear), str(cheap)]
    assert page["next_cursor"] is None
    first = page["data"][0]
    assert (first["known_cost_usd"], first["calls"]) == ("0.6000000000", 2)
    assert (first["workflow_id"], first["scope_type"], first["scope_id"]) == ("report", "project", "alpha")
    assert (first["user"], first["first_call_at"]) == ("alice", "2026-03-01T12:00:00.000Z")
    assert (first["max_unknown_cost_usd"], first["cost_complete"]) == ("0.0000000000", True)
    [narrow] = shares(client, model="scripted:writer-2", **{"from": "2026-03-01", "to": "2026-03-02"})["data"]
    assert (narrow["execution_id"], narrow["known_cost_usd"]) == (str(dear), "0.1000000000")
    assert shares(client, to="2026-03-01")["data"] == []


def test_the_executions_of_a_sum_come_in_pages(api: Api, alice: User) -> None:
    made = [answered(alice, cost_usd=Decimal(cost)) for cost in (3, 1, 2, 2)]
    client, found, cursor = api(alice), list[str](), ""
    for _ in made:
        page = shares(client, limit=1, cursor=cursor)
        found += [row["execution_id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert not cursor
    assert (len(found), found[0], found[-1]) == (4, str(made[0]), str(made[1]))
    assert {*found} == {str(each) for each in made}
    response = client.get("/api/v1/telemetry/executions", {"cursor": "bm8"})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/cursor")


def test_executions_with_unknown_costs_say_what_they_cost_at_most(api: Api, alice: User) -> None:
    answered(alice)
    lost = call(alice, status="unknown", estimated_cost_usd=Decimal("0.4"))
    unpriced = call(alice, status="unknown", estimated_cost_usd=None)
    rejected = call(alice, status="failed", estimated_cost_usd=Decimal("0.4"))
    announce(lost, unpriced, rejected)
    page = shares(api(alice), cost="unknown")["data"]
    assert {row["execution_id"]: row["max_unknown_cost_usd"] for row in page} == {
        str(lost.execution_id): "0.4000000000",
        str(unpriced.execution_id): None,
    }
    assert {row["cost_usd"] for row in page} == {None}
