"""`manage.py reindex_documents`."""

from __future__ import annotations

from argparse import ArgumentParser
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from documents.search import index

BATCH = 1_000  # documents of which one transaction empties the words


class Command(BaseCommand):
    """Indexes all documents by `SEARCH_LANGUAGE`, in batches. A stopped command can be run again, and goes on."""

    help = (
        "Index the texts of documents again by SEARCH_LANGUAGE, in batches. Documents that are indexed by it already "
        "are left out, so the command can be stopped and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument(
            "--only-empty", action="store_true", help="only empty the words; running workers index the documents"
        )

    def handle(self, *, only_empty: bool, **_: object) -> None:
        """Empty the words of other languages, then fill the index.

        Raises:
            CommandError: the database has no such language.
        """
        if settings.SEARCH_LANGUAGE not in (known := index.languages()):
            raise CommandError(index.unknown_language(known))
        last: UUID | None = UUID(int=0)
        while last is not None:
            last = index.empty_other_languages(after=last, limit=BATCH)
        done = 0
        while not only_empty and (number := index.index_documents()):
            done += number
            self.stdout.write(f"{done:,} documents indexed")
        self.stdout.write(f"The text index is in the language {settings.SEARCH_LANGUAGE}.")
