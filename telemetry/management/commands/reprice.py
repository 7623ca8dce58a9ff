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
    """Recalculates the costs of calls, and prints the changes."""

    help = "Recalculate the costs of the calls since a time, with the prices that were valid at the time of each call."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        when = "an RFC 3339 time, or a date, which means midnight UTC"
        parser.add_argument("--from", dest="since", type=_parse_time, required=True, help=f"{when}; inclusive")
        parser.add_argument("--to", dest="until", type=_parse_time, help=f"{when}; exclusive (default: now)")
        parser.add_argument("--dry-run", action="store_true", help="print the changes without writing them")

    def handle(self, *, since: datetime, until: datetime | None, dry_run: bool, **_: object) -> None:
        """Recalculate the costs.

        Raises:
            CommandError: the time range ends before it begins.
        """
        until = until or database_now()
        if until < since:
            raise CommandError("The time range ends before it begins.")
        result = reprice(since=since, until=until, dry_run=dry_run)
        time_range = f"from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"
        self.stdout.write(f"{result.calls} calls with known tokens, {time_range}")
        for line in _lines(result, dry_run=dry_run):
            self.stdout.write(line)


def _lines(result: Repricing, *, dry_run: bool) -> Iterator[str]:
    yield f"before: {result.before_usd:.10f} USD, and {result.unknown_before} calls of unknown cost"
    yield f"after:  {result.after_usd:.10f} USD, and {result.still_unknown} calls of unknown cost"
    for model, calls in sorted(result.unpriced.items()):
        yield f"no known price: {model}, {calls} calls keep their cost"
    verb = "would change" if dry_run else "changed"
    yield f"{result.changed} calls {verb}, including {result.newly_priced} that had no known cost"
    if dry_run:
        yield "Nothing was written."


def _parse_time(value: str) -> datetime:
    try:
        return parse_datetime(value, UTC)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{value!r} is neither an RFC 3339 time nor a date") from error
