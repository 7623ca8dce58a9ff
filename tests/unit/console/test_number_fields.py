"""Numbers in forms: the decimal separator of the language, and nothing that could be another number."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from console.forms import AmountField, CountField, SecondsField


@pytest.mark.parametrize(
    ("language", "text", "amount"),
    [
        ("en", "5.50", "5.50"),
        ("en", "0.125", "0.125"),
        ("en", "12.345", "12.345"),
        ("de", "5,50", "5.50"),
        ("de", "5.5", "5.5"),
        ("de", "0,125", "0.125"),
        ("de", "0.125", "0.125"),
        ("de", " 10000 ", "10000"),
    ],
)
def test_an_amount_is_read_as_it_is_written(language: str, text: str, amount: str) -> None:
    with translation.override(language):
        assert AmountField().clean(text) == Decimal(amount)
        assert SecondsField().clean(text) == float(amount)


@pytest.mark.parametrize(
    ("language", "text"), [("de", "1.000"), ("de", "10.000"), ("de", "1.000.000"), ("en", "1,000"), ("en", "5,50")]
)
def test_what_could_be_another_number_is_refused(language: str, text: str) -> None:
    with translation.override(language), pytest.raises(ValidationError):
        AmountField().clean(text)


@pytest.mark.parametrize("text", ["10.000", "10,000", "1e3", "7.0", "10 000"])
def test_a_whole_number_has_digits_alone(text: str) -> None:
    with pytest.raises(ValidationError):
        CountField().clean(text)
    assert CountField().clean(" 10000 ") == 10_000
