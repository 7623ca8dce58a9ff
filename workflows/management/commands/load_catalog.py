"""`manage.py load_catalog`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from workflows import loader, repository

_SAID = {
    repository.Publication.NEW: " published",
    repository.Publication.AGAIN: " is current again",
    repository.Publication.UNCHANGED: "",
}


class Command(BaseCommand):
    """Publishes the workflows of a catalog; what is published already stays as it is."""

    help = "Publish the workflows of a catalog. Identical content stays the version it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--catalog", type=Path, default=loader.CATALOG, help="folder with a folder per workflow")

    def handle(self, *, catalog: Path, **_: object) -> None:
        """Publish them all.

        Raises:
            CommandError: there are no workflows, or one that cannot be run; then none is published.
        """
        try:
            definitions = list(loader.load_catalog(catalog))
        except loader.CatalogError as error:
            raise CommandError(str(error)) from error
        if not definitions:
            raise CommandError(f"{catalog}: there is no folder with a workflow.yaml.")
        for definition in definitions:
            version, outcome = repository.publish(definition, now=timezone.now())
            self.stdout.write(f"{definition.id} {version}{_SAID[outcome]}")
