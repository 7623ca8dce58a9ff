"""Request bodies that are ambiguous or cannot be stored, and valid bodies of unusual form."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.exceptions import APIException
from rest_framework.test import APIClient

from access.user import User
from common.api.parsers import StrictJSONParser
from common.limits import limits

Api = Callable[..., APIClient]


def parsed(text: str | bytes) -> Any:
    """Return what a body says."""
    return StrictJSONParser().parse(io.BytesIO(text.encode() if isinstance(text, str) else text))


def refusal(text: str | bytes) -> APIException:
    """Return how a body is refused."""
    with pytest.raises(APIException) as caught:
        parsed(text)
    return caught.value


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"a": 1, "a": 2}', {"/a"}),
        ('{"a": 1, "a": 1, "a": 1}', {"/a"}),
        ('{"a": 1, "b": 2, "b": 3, "a": 4}', {"/a", "/b"}),
        ('{"a": {"b": [0, {"c": 1, "c": 2}]}}', {"/a/b/1/c"}),
        ('[{"a/b~": 1, "a/b~": 2}]', {"/0/a~1b~0"}),
        ('{"": 1, "": 2}', {"/"}),
        ('{"\\u0061": 1, "a": 2}', {"/a"}),
        ('{"a": {"x": 1, "x": 2}, "a": 3}', {"/a"}),
        ('{"a": null, "a": null}', {"/a"}),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_its_place(api: Api, db: None, body: str, found: set[str]) -> None:
    response = api().post("/api/v1/auth/token", body.encode(), content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "duplicate-key")
    assert {error["pointer"] for error in response.json()["errors"]} == found
    assert {error["code"] for error in response.json()["errors"]} == {"duplicate_key"}


def test_names_that_differ_are_different_names() -> None:
    assert parsed('{"a": {"a": 1}, "A": 2, "b": [{"a": 1}, {"a": 1}]}') == {"a": {"a": 1}, "A": 2, "b": [{"a": 1}] * 2}


@pytest.mark.parametrize(
    "number",
    [
        "9" * 5_000,
        "-" + "9" * 5_000,
        "1e999",
        "-1e999",
        "1e99999999999",
        "1" + "0" * 400,
        str(2**1024),
        str(2**1024 - 1),
    ],
    ids=lambda text: f"{text[:9]}… ({len(text)})",
)
def test_a_number_beyond_a_double_is_refused_where_it_stands(number: str) -> None:
    error = refusal(f'{{"a": [1, {{"b": {number}}}]}}')
    assert error.status_code == 400
    assert error.get_codes() == {"a": {"1": {"b": ["not_storable"]}}}


@pytest.mark.parametrize("number", ["0." + "1" * 5_000, "1e-99999", "-0", "-1" + "0" * 308, "1.5E+10", "1e308"])
def test_a_number_within_a_double_is_taken(number: str) -> None:
    assert parsed(number) == pytest.approx(float(number))


@pytest.mark.parametrize("place", ["budget", "input", "workflow_version", "tags", "scope_id", "unknown"])
@pytest.mark.parametrize("number", ["9" * 5_000, "1e400", "1" + "0" * 400])
def test_a_number_beyond_a_double_is_422_wherever_it_stands(api: Api, alice: User, place: str, number: str) -> None:
    body = f'{{"workflow_id": "a", "scope_type": "b", "{place}": {{"max_seconds": {number}}}}}'
    response = api(alice).post("/api/v1/executions/", body.encode(), content_type="application/json")
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{place}/max_seconds"]


@pytest.mark.parametrize("body", ["NaN", '{"a": Infinity}', "[-Infinity]", '{"a": [NaN]}'])
def test_json_has_no_such_numbers(body: str) -> None:
    assert "JSON has no" in str(refusal(body).detail)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a": "\xff"}'],
)
def test_what_is_no_json_in_utf_8_is_refused(body: bytes) -> None:
    assert refusal(body).get_codes() == "parse_error"


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '["a", "b\\uDBFFc"]', '{"a": {"b\\ud800": 1}}'])
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    assert "surrogate" in str(refusal(text).detail)


def test_both_halves_are_a_character() -> None:
    assert parsed('"\\ud83d\\ude00 \\\\ud800"') == "😀 \\ud800"


def test_a_byte_order_mark_is_taken(api: Api, db: None) -> None:
    response = api().post("/api/v1/auth/token", b'\xef\xbb\xbf{"zzz": 1}', content_type="application/json")
    assert response.status_code == 422
    assert "/zzz" in {error["pointer"] for error in response.json()["errors"]}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_body_is_as_deep_as_the_limit_allows(restrict: Callable[..., None], opening: str) -> None:
    def nested(levels: int) -> str:
        return opening * levels + "1" + {"[": "]"}.get(opening, "}") * levels

    parsed(nested(limits().request_depth))
    assert refusal(nested(limits().request_depth + 1)).get_codes() == "too-deep"
    assert refusal(nested(100_000)).get_codes() == "too-deep"
    assert refusal(opening * 100_000).get_codes() == "too-deep"
    restrict(request_depth=1_000)
    parsed(nested(100))


def test_a_body_has_as_many_members_and_items_as_the_limit_allows(restrict: Callable[..., None]) -> None:
    restrict(request_fields=10)
    parsed(json.dumps({"a": [1] * 9}))
    assert refusal(json.dumps({"a": [1] * 10})).get_codes() == "too-many-fields"
    assert refusal(json.dumps({str(number): {} for number in range(11)})).get_codes() == "too-many-fields"
    assert refusal(json.dumps([[[]] * 5, [[]] * 5])).get_codes() == "too-many-fields"


def test_a_body_full_of_repeated_names_is_refused_with_the_first_one_and_a_count() -> None:
    inner = ",".join(f'"{number}": 1, "{number}": 1' for number in range(2_000))
    refused: Any = refusal(f'{{"{"k" * 200_000}": {{{inner}}}}}')
    assert (len(refused.errors), refused.error_count) == (20, 2_000)
    assert max(len(each["pointer"]) for each in refused.errors) < 300


def test_the_way_to_a_number_is_told_with_short_names() -> None:
    refused = refusal(f'{{"{"k" * 200_000}": {"9" * 400}}}')
    assert len(str(refused.detail)) < 600
