"""`manage.py reprice --from 2026-11-01`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import UTC, datetime

from django.core.management.base import BaseCommand, CommandError

from common.database.server import database_now
from common.time import parse_datetime
from telemetry.pricing.repricing import Repricing, reprice


class Command(BaseCommand):
    """Prices calls again, and says what changed."""

    help = "Price the calls that were made since a time again, by the prices that hold for the time of each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        when = "an RFC 3339 time, or a date, which begins at midnight UTC"
        parser.add_argument("--from", dest="since", type=_moment, required=True, help=f"{when}; included")
        parser.add_argument("--to", dest="until", type=_moment, help=f"{when}; not included (default: now)")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *, since: datetime, until: datetime | None, dry_run: bool, **_: object) -> None:
        """Price the calls."""
        until = until or database_now()
        if until < since:
            raise CommandError("The span ends before it begins.")
        result = reprice(since=since, until=until, dry_run=dry_run)
        span = f"from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"
        self.stdout.write(f"{result.calls} calls whose tokens are known, {span}")
        for line in _lines(result, dry_run=dry_run):
            self.stdout.write(line)


def _lines(result: Repricing, *, dry_run: bool) -> Iterator[str]:
    yield f"before: {result.before_usd:.10f} USD, and {result.unknown_before} calls of unknown cost"
    yield f"after:  {result.after_usd:.10f} USD, and {result.still_unknown} calls of unknown cost"
    for model, calls in sorted(result.unpriced.items()):
        yield f"no known price: {model}, {calls} calls keep what they cost"
    verb = "would change" if dry_run else "changed"
    yield f"{result.changed} calls {verb}, {result.newly_priced} of them had no known cost"
    if dry_run:
        yield "Nothing was written."


def _moment(value: str) -> datetime:
    try:
        return parse_datetime(value, UTC)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{value!r} is neither an RFC 3339 time nor a date") from error
