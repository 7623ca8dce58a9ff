"""Pages of a list are complete, in order, and stable while rows are added."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from django.db import connection
from django.db.models import BigIntegerField, CharField, DecimalField, FloatField
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import ValidationError
from rest_framework.test import APIClient

from access.user import User
from common.api.pagination import encode_cursor, page_start

pytestmark = [pytest.mark.urls("tests.integration.web.urls"), pytest.mark.django_db]
Api = Callable[..., APIClient]
START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def people(count: int, *, first: int = 0) -> list[str]:
    """Store users, two at each microsecond, and return their names in the order of the list: newest first."""
    made = [
        User(username=f"u{number:03}", date_joined=START + timedelta(microseconds=number // 2))
        for number in range(first, first + count)
    ]
    User.objects.bulk_create(made)
    return [user.username for user in reversed(made)]


def pages(api: Api, path: str = "/api/v1/people", limit: int = 3) -> Iterator[list[str]]:
    cursor = ""
    while True:
        query: dict[str, str | int] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        body = api().get(path, query).json()
        yield [row["username"] if isinstance(row, dict) else row for row in body["data"]]
        cursor = body["next_cursor"]
        if cursor is None:
            return


def cursor_of(*values: Any, of: str = "/api/v1/people") -> str:
    return encode_cursor(values, of=json.dumps([of, []]))


def test_all_pages_together_are_the_list_with_nothing_twice(api: Api) -> None:
    names = people(10)
    found = list(pages(api))
    assert [len(page) for page in found] == [3, 3, 3, 1]
    assert list(chain.from_iterable(found)) == names


def test_a_list_that_fills_its_last_page_ends_there(api: Api) -> None:
    people(6)
    assert [len(page) for page in pages(api)] == [3, 3]


def test_an_empty_list_is_one_empty_page(api: Api) -> None:
    assert api().get("/api/v1/people").json() == {"data": [], "next_cursor": None}


def test_rows_that_arrive_meanwhile_move_nothing(api: Api) -> None:
    names = people(6)
    found = []
    for number, page in enumerate(pages(api, limit=2)):
        found += page
        people(1, first=100 + number)
    assert found == names


def test_rows_that_go_meanwhile_move_nothing(api: Api) -> None:
    names = people(6)
    found = []
    for page in pages(api, limit=2):
        found += page
        User.objects.filter(username__in=page).delete()
    assert found == names


def test_columns_may_go_in_different_directions(api: Api) -> None:
    for first_name in ("b", "a"):
        for number in range(4):
            User.objects.create(username=f"{first_name}{number}", first_name=first_name)
    assert list(chain.from_iterable(pages(api, "/api/v1/names"))) == ["a3", "a2", "a1", "a0", "b3", "b2", "b1", "b0"]


def test_a_page_has_fifty_rows_unless_told_otherwise(api: Api) -> None:
    people(51)
    assert len(api().get("/api/v1/people").json()["data"]) == 50


def test_a_later_page_begins_at_its_bound_and_skips_no_rows(api: Api) -> None:
    people(6)
    second = api().get("/api/v1/people", {"limit": 3}).json()["next_cursor"]
    with CaptureQueriesContext(connection) as queries:
        api().get("/api/v1/people", {"limit": 3, "cursor": second})
    (query,) = [each["sql"] for each in queries if "access_user" in each["sql"]]
    assert "OFFSET" not in query
    assert '"date_joined" <= ' in query


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "many", "", "٣", "9" * 5000])
def test_a_limit_out_of_bounds_is_refused(api: Api, limit: str) -> None:
    response = api().get("/api/v1/people", {"limit": limit})
    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/limit"]


@pytest.mark.parametrize("limit", [1, 200])
def test_the_bounds_of_the_limit_are_allowed(api: Api, limit: int) -> None:
    people(2)
    assert len(api().get("/api/v1/people", {"limit": limit}).json()["data"]) == min(limit, 2)


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ü",
        "%",
        cursor_of(),
        cursor_of("2026-03-01T12:00:00+00:00"),
        cursor_of("2026-03-01T12:00:00+00:00", 1, 2),
        cursor_of("2026-03-01T12:00:00", 1),
        cursor_of("never", 1),
        cursor_of("2026-03-01T12:00:00+00:00", "x"),
        cursor_of("2026-03-01T12:00:00+00:00", None),
        cursor_of("2026-03-01T12:00:00+00:00", float("inf")),
        cursor_of("2026-03-01T12:00:00+00:00", [1]),
        cursor_of({}, 1),
        cursor_of("2026-03-01T12:00:00+00:00", 1, of="/api/v1/names"),
        base64.urlsafe_b64encode(b'["2026-03-01T12:00:00+00:00", 1]').decode(),
        base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b"[" * 20_000).decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(api: Api, cursor: str) -> None:
    people(2)
    response = api().get("/api/v1/people", {"cursor": cursor})
    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/cursor"]


def test_a_cursor_with_text_that_the_database_cannot_hold_is_refused(api: Api) -> None:
    assert api().get("/api/v1/names", {"cursor": cursor_of("a\0", "b", of="/api/v1/names")}).status_code == 422


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (DecimalField(max_digits=30, decimal_places=10), "1e999999"),
        (DecimalField(max_digits=30, decimal_places=10), "1e-999999"),
        (DecimalField(max_digits=30, decimal_places=10), "NaN"),
        (FloatField(), 10**400),
        (BigIntegerField(), 10**20),
        (CharField(max_length=5), "longer"),
        (CharField(max_length=5), "\ud800"),
    ],
)
def test_a_cursor_with_a_value_that_the_database_cannot_hold_is_refused(field: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        page_start({"cursor": cursor_of(value)}, [field], of=json.dumps(["/api/v1/people", []]))


def test_a_cursor_has_any_value_that_the_database_can_hold() -> None:
    fields: list[Any] = [
        DecimalField(max_digits=30, decimal_places=10),
        FloatField(),
        BigIntegerField(),
        CharField(max_length=5),
    ]
    cursor = encode_cursor(["0.0012345678", 1, -(2**63), ""], of="a list")
    assert page_start({"cursor": cursor}, fields, of="a list") == [
        Decimal("0.0012345678"),
        1.0,
        -(2**63),
        "",
    ]
