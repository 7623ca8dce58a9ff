"""The rules of the address: which period is meant, which filters hold, and where links lead."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from console.costs.addresses import Address
from console.costs.forms import CostsForm
from console.costs.period import MAX_BARS, MAX_DAYS, Period
from telemetry.serializers import SummaryQuery

TODAY = date(2026, 11, 30)
BERLIN = ZoneInfo("Europe/Berlin")


def form_of(**query: str) -> CostsForm:
    return CostsForm(query, today=TODAY, zone=BERLIN)


def address_of(**query: str) -> Address:
    form = form_of(**query)
    assert form.is_valid(), form.errors
    return Address(period=form.period, group=form.group, filters=form.filters)


def query_in(address: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, "2026-11-01", "2026-11-30"),
        ({"month": "2026-02"}, "2026-02-01", "2026-02-28"),
        ({"from": "2026-11-03", "to": "2026-11-09"}, "2026-11-03", "2026-11-09"),
        ({"from": "2026-11-03"}, "2026-11-03", "2026-11-30"),  # until today
        ({"from": "2026-12-24"}, "2026-12-24", "2026-12-24"),  # which is before it
        ({"to": "2026-09-15"}, "2026-09-01", "2026-09-15"),  # from the begin of its month
        ({"month": "2026-02", "from": "2026-11-03", "to": "2026-11-03"}, "2026-11-03", "2026-11-03"),
        ({"month": "", "from": "", "to": ""}, "2026-11-01", "2026-11-30"),
    ],
)
def test_the_period_is_a_month_or_days_of_which_both_ends_count(query: dict[str, str], first: str, last: str) -> None:
    form = form_of(**query)
    assert form.is_valid(), form.errors
    assert (form.period.first.isoformat(), form.period.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"month": "2026-13"}, "month"),
        ({"month": "November"}, "month"),
        ({"month": "0001-01"}, "month"),
        ({"month": "9999-12"}, "month"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "2026-11-09", "to": "2026-11-08"}, "to"),
        ({"from": "2020-11-09", "to": "2026-11-08"}, "to"),
        ({"cross": "day,step"}, "cross"),
        ({"dry_run": "maybe"}, "dry_run"),
        ({"model": "gpt"}, "model"),
        ({"user": "a\0"}, "user"),
    ],
)
def test_an_address_that_cannot_be_right_is_a_fault_of_a_field(query: dict[str, str], field: str) -> None:
    form = form_of(**query)
    assert not form.is_valid()
    assert [*form.errors] == [field]


def test_days_begin_in_the_time_zone_of_the_reader_through_a_change_of_clocks() -> None:
    period = address_of(month="2026-10").period
    assert (period.since.isoformat(), period.until.isoformat()) == (
        "2026-09-30T22:00:00+00:00",
        "2026-10-31T23:00:00+00:00",
    )
    assert len([*period.parts]) == 31


def test_a_long_period_is_shown_by_month() -> None:
    short = Period(date(2026, 1, 1), date(2026, 4, 2), BERLIN)
    assert (len([*short.parts]), short.by_month) == (MAX_BARS, False)
    long = Period(date(2026, 1, 15), date(2026, 4, 20), BERLIN)
    assert [*long.parts] == [date(2026, month, 1) for month in (1, 2, 3, 4)]
    assert long.days_of(date(2026, 1, 1)) == (date(2026, 1, 15), date(2026, 1, 31))
    assert long.days_of(date(2026, 4, 1)) == (date(2026, 4, 1), date(2026, 4, 20))
    assert MAX_DAYS > 365


def test_a_link_keeps_everything_but_what_it_changes() -> None:
    address = address_of(workflow_id="report", dry_run="include", cross="day,user")
    kept = {"month": "2026-11", "cross": "day,user", "workflow_id": "report", "dry_run": "include"}
    assert query_in(address.page()) == kept
    assert query_in(address.page(group="tag")) == {**kept, "cross": "day,tag"}
    assert query_in(address.page(without="workflow_id")) == {
        name: value for name, value in kept.items() if name != "workflow_id"
    }
    assert query_in(address.month(date(2026, 2, 11))) == {**kept, "month": "2026-02"}
    day = date(2026, 11, 3)
    cell = address.executions(days=(day, day), more={"user": "ada"}, unknown=True)
    assert cell.endswith("#executions")
    assert query_in(cell) == {
        **{name: value for name, value in kept.items() if name != "month"},
        **{"from": "2026-11-03", "to": "2026-11-03", "user": "ada", "show": "executions", "cost": "unknown"},
    }


def test_what_is_left_out_by_default_is_not_in_the_address() -> None:
    assert address_of(dry_run="exclude", user="").filters == {}
    assert address_of().group == "model"


@pytest.mark.parametrize(
    "query",
    [{}, {"from": "2026-11-03", "to": "2026-11-09", "scope_type": "project", "scope_id": "a b/ü", "model": "x:y:z"}],
)
def test_the_csv_file_has_the_same_sums(query: dict[str, str]) -> None:
    address = address_of(**query)
    path, _, _ = address.csv().partition("?")
    assert path == "/api/v1/telemetry/summary"
    sent: dict[str, Any] = query_in(address.csv())
    asked = SummaryQuery(data=sent)
    assert asked.is_valid(), asked.errors
    given = asked.validated_data
    assert (given["since"], given["until"]) == (address.period.since, address.period.until)
    assert (given["tz"].key, given["by_day"], given["group_by"]) == ("Europe/Berlin", "model", ["model"])
    assert given.get("scope_id") == query.get("scope_id")
    assert given.get("model") == (("x", "y:z") if "model" in query else None)
