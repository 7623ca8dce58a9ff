"""`manage.py load_catalog`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.module_loading import import_string

from workflows import loader, repository


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
        advice = import_string(settings.WORKFLOW_ADVICE)
        for definition in definitions:
            version, is_new = repository.publish(definition, now=timezone.now())
            self.stdout.write(f"{definition.id} {version}{' published' if is_new else ''}")
            for fault in advice(definition) if is_new else ():
                self.stderr.write(f"{definition.id} {fault.pointer}: {fault.detail}")
