"""The forecast of the running month: the mean of its last full days, for the days that are left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from console.costs.forecast import forecast

BERLIN = ZoneInfo("Europe/Berlin")


def costs(*amounts: float, first: int = 1, month: int = 11) -> dict[date, Decimal]:
    """Return costs of consecutive days; days without costs are missing."""
    return {date(2026, month, first + number): Decimal(str(amount)) for number, amount in enumerate(amounts) if amount}


def at(day: int, hour: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by_day", "now", "expected"),
    [
        (costs(1, 1, 1), at(4), "30"),  # 3 spent, and 27 days at 1 are left
        (costs(1, 1, 1, 0.5), at(4, 12), "30"),  # 3.5 spent; half a day and 26 days are left
        (costs(1, 2, 3, 9), at(4), "69"),  # what was spent today counts, but not for the mean
        (costs(*[9] * 3, *[1] * 7), at(11), "54"),  # the last seven full days alone
        (costs(*[9] * 3, *[1] * 5, 0, 2), at(11), "54"),  # a day without costs counts, too
        (costs(3, 3, 3, first=20), at(23), "33"),  # days before the first costs say nothing
        (costs(1, 1, 1, *[0] * 26, 5), at(30, 18), "8"),  # nothing for a week: the rest costs nothing
    ],
)
def test_the_rest_of_the_month_costs_what_the_last_full_days_did(
    by_day: Mapping[date, Decimal], now: datetime, expected: str
) -> None:
    assert forecast(by_day, now=now, zone=ZoneInfo("UTC")) == Decimal(expected)


@pytest.mark.parametrize(
    ("by_day", "now"),
    [
        ({}, at(20)),
        (costs(1, 1), at(3)),  # two full days
        (costs(1, 1, 1), at(3, 23)),  # the third one is not full yet
        (costs(5, first=19), at(21)),
        (costs(1, 1, 1, month=10, first=28), at(2)),  # of another month
    ],
)
def test_fewer_than_three_full_days_say_nothing(by_day: Mapping[date, Decimal], now: datetime) -> None:
    assert forecast(by_day, now=now, zone=ZoneInfo("UTC")) is None


def test_days_are_those_of_the_time_zone_through_a_change_of_clocks() -> None:
    by_day = costs(*[1] * 24, month=10)
    noon = datetime(2026, 10, 25, 11, tzinfo=UTC)  # 12:00 in Berlin, on a day of 25 hours
    left = Decimal(6) + Decimal(12) / Decimal(25)
    assert forecast(by_day, now=noon, zone=BERLIN) == 24 + left
    late = datetime(2026, 10, 4, 22, 30, tzinfo=UTC)  # the fifth has begun in Berlin
    assert forecast(costs(1, 1, 0, 1, month=10), now=late, zone=ZoneInfo("UTC")) is not None
    mean_of_four = Decimal(3) / 4
    found = forecast(costs(1, 1, 0, 1, month=10), now=late, zone=BERLIN)
    assert found == 3 + mean_of_four * (26 + Decimal("23.5") / 24)
