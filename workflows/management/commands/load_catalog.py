"""`manage.py load_catalog`."""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.utils import timezone

from workflows import loader, repository


class Command(BaseCommand):
    """Publishes the workflows that ship; what is published already stays as it is."""

    help = "Publish the workflows of the catalog. Identical content stays the version it is."

    def handle(self, **_: object) -> None:
        """Publish them all."""
        for definition in loader.load_catalog():
            version, is_new = repository.publish(definition, now=timezone.now())
            self.stdout.write(f"{definition.id} {version}{' published' if is_new else ''}")
