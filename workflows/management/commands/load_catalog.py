"""`manage.py load_catalog`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from common.database.server import database_now
from workflows import loader, repository

_SAID = {
    repository.Publication.NEW: " published",
    repository.Publication.AGAIN: " is current again",
    repository.Publication.UNCHANGED: "",
}


class Command(BaseCommand):
    """Publishes the workflows of a catalog; what is published already stays as it is."""

    help = "Publish the workflows of a catalog. Identical content stays the version it is; faulty ones are named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--catalog", type=Path, default=loader.CATALOG, help="folder with a folder per workflow")
        parser.add_argument(
            "--skip-faulty",
            action="store_true",
            help="name the workflows that have faults, and end with 0 all the same",
        )

    def handle(self, *, catalog: Path, skip_faulty: bool = False, **_: object) -> None:
        """Publish those that can be run. One with faults stays what it was: its earlier version stays the current one.

        Raises:
            CommandError: there are no workflows; or some have faults, and are not to be skipped.
        """
        read = loader.load_catalog(catalog)
        advice = import_string(settings.WORKFLOW_ADVICE)
        for definition in read.definitions:
            version, outcome = repository.publish(definition, now=database_now())
            self.stdout.write(f"{definition.id} {version}{_SAID[outcome]}")
            for fault in advice(definition) if outcome is repository.Publication.NEW else ():
                self.stderr.write(f"{definition.id} {fault.pointer}: {fault.detail}")
        if not read.definitions and not read.errors:
            raise CommandError(f"{catalog}: there is no folder with a workflow.yaml.")
        if read.errors:
            said = "\n".join(["Not published, because of faults; an earlier version stays current:", *read.errors])
            if not skip_faulty:
                raise CommandError(said)
            self.stderr.write(said)
