"""Serializers that reject unknown fields, and the form of values in responses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from rest_framework import serializers

from common.api.serializers import MoneyField, StrictSerializer, TimestampField, checked


class Form(StrictSerializer):
    """A form with one value, and one that may be given several times."""

    size = serializers.IntegerField()
    tag = serializers.ListField(child=serializers.CharField(), required=False)


def codes(data: Any) -> dict[str, list[str]]:
    """Return what is wrong, by field."""
    with pytest.raises(serializers.ValidationError) as caught:
        checked(Form, data)
    found: Any = caught.value.get_codes()
    return {name: list(each) for name, each in found.items()}


def test_a_form_returns_its_values() -> None:
    assert checked(Form, {"size": 3, "tag": ["a", "b"]}) == {"size": 3, "tag": ["a", "b"]}


def test_every_unknown_name_is_named_beside_everything_else_that_is_wrong() -> None:
    assert codes({"size": "x", "siez": 1, "tga": []}) == {
        "size": ["invalid"],
        "siez": ["unknown_field"],
        "tga": ["unknown_field"],
    }


class Typed(StrictSerializer):
    """A form with one field of each type."""

    text = serializers.CharField(required=False, min_length=3)
    word = serializers.RegexField(r"^\w+$", required=False)
    address = serializers.EmailField(required=False)
    key = serializers.UUIDField(required=False)
    number = serializers.IntegerField(required=False)
    share = serializers.FloatField(required=False)
    flag = serializers.BooleanField(required=False)
    moment = serializers.DateTimeField(required=False)
    words = serializers.ListField(child=serializers.CharField(max_length=5), max_length=4, required=False)
    forms = Form(many=True, required=False)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", [1234, 0.5, True, ["abc"], {"a": 1}]),
        ("word", [0, 1.5, False]),
        ("address", [1, True]),
        ("key", [1, 1.0, True]),
        ("number", ["1", " 1", True, 1.5, [1]]),
        ("share", ["0.5", "1"]),
        ("flag", ["true", "yes", 1, 0, 0.0, []]),
        ("moment", [0, 1.5, True]),
        ("words", [["a", 1], [0.5], [True], "a"]),
        ("forms", [[{"size": "3"}], [{"size": 3, "tag": [1]}]]),
    ],
)
def test_a_json_value_of_another_type_is_refused_and_not_converted(name: str, values: list[Any]) -> None:
    accepted = [value for value in values if Typed(data={name: value}).is_valid()]
    assert accepted == []


def test_json_values_of_their_types_are_taken() -> None:
    given = {"text": "123", "word": "1", "number": 1, "flag": False, "words": ["1"], "forms": [{"size": 1}]}
    assert checked(Typed, given) == given
    assert checked(Typed, {"number": 1.0}) == {"number": 1}  # one number in JSON


def test_every_wrong_type_in_a_list_is_named_beside_other_errors_of_its_items() -> None:
    with pytest.raises(serializers.ValidationError) as caught:
        checked(Typed, {"words": [1, "longer than five", "a", 2], "text": 1})
    found: Any = caught.value.get_codes()
    assert found == {"words": {0: ["invalid"], 1: ["max_length"], 3: ["invalid"]}, "text": ["invalid"]}


def test_a_list_that_is_too_long_has_one_error() -> None:
    with pytest.raises(serializers.ValidationError) as caught:
        checked(Typed, {"words": [1] * 5})
    found: Any = caught.value.get_codes()
    assert found == {"words": ["max_length"]}


@pytest.mark.parametrize("data", [[], "text", 3, None, [{"size": 3}]])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        checked(Form, data)


def test_a_query_may_repeat_a_list_and_nothing_else() -> None:
    assert checked(Form, QueryDict("size=3&tag=a&tag=b")) == {"size": 3, "tag": ["a", "b"]}
    assert codes(QueryDict("size=3&size=4")) == {"size": ["repeated"]}


def test_a_query_may_turn_pages_and_a_body_may_not() -> None:
    assert checked(Form, QueryDict("size=3&limit=5&cursor=abc")) == {"size": 3}
    assert codes({"size": 3, "limit": 5}) == {"limit": ["unknown_field"]}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00.000Z"),
        (datetime(2026, 3, 1, 12, 0, 0, 123_999, tzinfo=UTC), "2026-03-01T12:00:00.123Z"),
        (datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-02-28T23:00:00.000Z"),
    ],
)
def test_times_go_out_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert TimestampField().to_representation(moment) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.0000000000"),
        ("0.0123", "0.0123000000"),
        ("1E-10", "0.0000000001"),
        ("123456789.5", "123456789.5000000000"),
    ],
)
def test_money_goes_out_with_ten_decimals_and_no_exponent(amount: str, text: str) -> None:
    assert MoneyField().to_representation(Decimal(amount)) == text
