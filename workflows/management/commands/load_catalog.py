"""`manage.py load_catalog`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from common.database.server import database_now
from workflows import loader, publishing, repository
from workflows.definitions.definition import DefinitionError

_OUTCOMES = {
    repository.Publication.NEW: " published",
    repository.Publication.AGAIN: " is current again",
    repository.Publication.UNCHANGED: "",
}


class Command(BaseCommand):
    """Publishes the workflows of a catalog."""

    help = "Publish the workflows of a catalog. Identical content keeps its version; errors are listed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--catalog", type=Path, default=loader.CATALOG, help="folder with a folder per workflow")
        parser.add_argument(
            "--skip-faulty",
            action="store_true",
            help="list invalid workflows, but exit with status 0",
        )

    def handle(self, *, catalog: Path, skip_faulty: bool = False, **_: object) -> None:
        """Publish the valid workflows. An invalid workflow keeps its current version.

        Raises:
            CommandError: there are no workflows, or some are invalid and `skip_faulty` is not set.
        """
        read = loader.load_catalog(catalog)
        errors = list(read.errors)
        for definition in read.definitions:
            house = read.houses.get(definition.house or "")
            try:
                published = publishing.publish(definition, by=None, now=database_now(), house=house)
            except DefinitionError as error:
                errors.append(f"{definition.id}: {error}")
                continue
            self.stdout.write(f"{definition.id} {published.version}{_OUTCOMES[published.outcome]}")
            is_new = published.outcome is repository.Publication.NEW
            for field_error in publishing.advice(definition) if is_new else ():
                self.stderr.write(f"{definition.id} {field_error.pointer}: {field_error.detail}")
        if not read.definitions and not errors:
            raise CommandError(f"{catalog}: no folder contains a workflow.yaml.")
        if errors:
            text = "\n".join(["Invalid workflows were not published; their earlier versions stay current:", *errors])
            if not skip_faulty:
                raise CommandError(text)
            self.stderr.write(text)
