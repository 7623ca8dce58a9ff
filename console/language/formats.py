"""Numbers, amounts and moments as the language of the page writes them. Values for programs are not written here."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.utils.formats import date_format, get_format
from django.utils.translation import pgettext


def localized(number: str) -> str:
    """Return a number, such as `1,234.5`, with the separators of the language."""
    return number.translate({ord(","): get_format("THOUSAND_SEPARATOR"), ord("."): get_format("DECIMAL_SEPARATOR")})


def thousands(number: int) -> str:
    """Return a whole number with separators of thousands: `1,234`."""
    return localized(f"{number:,}")


def dollars(amount: Decimal | float, decimals: int = 2) -> str:
    """Return US dollars: `$1.20`."""
    return in_dollars(f"{amount:.{decimals}f}")


def in_dollars(number: str) -> str:
    """Return US dollars that are a number already, such as `1,234.5`."""
    return pgettext("US dollars", "$%(amount)s") % {"amount": localized(number)}


def moment(local: datetime) -> str:
    """Return a local point in time to the minute, without its zone: `30 Nov 2026, 05:12`."""
    return date_format(local, pgettext("format of a date with a time", "j M Y, H:i"))


def exact_moment(local: datetime) -> str:
    """Return a local point in time to the second, without its zone: `30 Nov 2026, 05:12:07`."""
    return date_format(local, pgettext("format of a date with seconds", "j M Y, H:i:s"))


def day(local: date) -> str:
    """Return a day: `30 November 2026`."""
    return date_format(local, pgettext("format of a date", "j F Y"))


def short_day(local: date) -> str:
    """Return a day in few characters: `30 Nov 2026`."""
    return date_format(local, pgettext("format of a short date", "j M Y"))


def month(local: date) -> str:
    """Return a month: `November 2026`."""
    return date_format(local, pgettext("format of a month", "F Y"))


def weekday(local: date, *, with_year: bool) -> str:
    """Return a day with its day of the week: `Mon 30 Nov`, `Mon 30 Nov 2026`."""
    short = pgettext("format of a day of the week with a date", "D j M")
    return date_format(local, pgettext("format of a day of the week with a year", "D j M Y") if with_year else short)


def short_month(local: date) -> str:
    """Return a month in few characters: `Nov 26`."""
    return date_format(local, pgettext("format of a short month", "M y"))


def day_of_year(local: date) -> str:
    """Return a day without its year: `30 Nov`."""
    return date_format(local, pgettext("format of a short date without a year", "j M"))
