"""`manage.py erase_person ada`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError

from common.database.connections import without_time_limit
from common.errors import NotFound
from executions.services.erasure.people import (
    LastSuperuser,
    StillOpen,
    Traces,
    cancel_open,
    erase_person,
    find_traces,
)

_SHOWN = 20  # executions that a message names


class Command(BaseCommand):
    """Erases a person."""

    help = (
        "Erase a person: name, address, and what the person wrote. Numbers, hashes and provenance stay. With --derived "
        "also what others have made from it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("name", help="user name; of a person that was erased before, the name that took its place")
        parser.add_argument("--derived", action="store_true", help="erase also what others have made from the texts")
        parser.add_argument("--cancel", action="store_true", help="cancel the executions that have not ended")
        parser.add_argument("--dry-run", action="store_true", help="print what would be erased, and change nothing")

    def handle(self, *, name: str, derived: bool, cancel: bool, dry_run: bool, **_: object) -> None:
        """Erase the person.

        Raises:
            CommandError: there is no such user, no other superuser, or executions have not ended. No text was erased.
        """
        try:
            with without_time_limit():
                found = self._erase(name, derived=derived, cancel=cancel, dry_run=dry_run)
        except (NotFound, LastSuperuser) as error:
            raise CommandError(str(error)) from error
        except StillOpen as error:
            shown = "\n".join(map(str, error.execution_ids[:_SHOWN]))
            raise CommandError(f"{error} Wait for their end, or use --cancel:\n{shown}") from error
        for line in _lines(found, dry_run=dry_run):
            self.stdout.write(line)

    def _erase(self, name: str, *, derived: bool, cancel: bool, dry_run: bool) -> Traces:
        if dry_run:
            return find_traces(name, with_derived=derived)
        if cancel and not (found := find_traces(name, with_derived=derived)).is_last_superuser:
            cancel_open(found)
        return erase_person(name, with_derived=derived)


def _lines(found: Traces, *, dry_run: bool) -> Iterator[str]:
    kept = "" if found.with_derived else ", without the documents that they made"
    yield f"{len(found.started)} executions that the person started{kept}"
    if found.copied:
        does = "go" if found.with_derived else "stay without --derived"
        shown = ", ".join(map(str, sorted(found.copied)[:_SHOWN]))
        yield f"{len(found.copied)} executions of others that began with a copy of such a brief {does}: {shown}"
    yield f"{len(found.joined)} executions of others with answers, decisions or files: their replies"
    yield f"{sum(map(len, found.steps.values()))} steps of other executions that have read what goes: their replies"
    yield f"{len(found.derived.left)} versions of documents"
    yield f"{len(found.files)} files"
    if found.ownerless:
        yield f"no other owner: {', '.join(found.ownerless)}"
    if dry_run and found.is_last_superuser:
        yield LastSuperuser.sentence
    if dry_run and found.open:
        yield f"{len(found.open)} executions have not ended; --cancel cancels them"
    yield "Nothing was written." if dry_run else f"The account is {found.account.alias} now, and inactive."
