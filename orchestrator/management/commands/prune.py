"""`manage.py prune`."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from common.database.connections import without_time_limit
from common.database.server import database_now
from executions.services.erasure.retention import due, erase_due


class Command(BaseCommand):
    """Erases executions that are older than they are kept."""

    help = (
        "Erase the contents of executions that ended longer ago than their scope or their workflow keeps them. Workers "
        "do the same once an hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--dry-run", action="store_true", help="print what would be erased, and change nothing")

    def handle(self, *, dry_run: bool, **_: object) -> None:
        """Erase the executions, and print their numbers."""
        total, is_any = 0, False
        with without_time_limit():
            for each in (due if dry_run else erase_due)(now=database_now()):
                total, is_any = total + each.number, True
                policy = each.policy
                self.stdout.write(
                    f"{policy.name}, {policy.days} days: {each.number} executions that ended before "
                    f"{each.before:%Y-%m-%d %H:%M:%S} UTC"
                )
        if not is_any:
            self.stdout.write("No scope and no workflow has a retention.")
        self.stdout.write(f"{total} executions would be erased." if dry_run else f"{total} executions were erased.")
