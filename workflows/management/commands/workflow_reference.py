"""`manage.py workflow_reference`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from workflows.definitions.docs import reference

BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"


class Command(BaseCommand):
    """Generates the reference of workflow definitions."""

    help = "Print the reference of all fields of a workflow definition, or write it into a document between its marks."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--into", type=Path, help="Markdown file with the marks")

    def handle(self, *, into: Path | None, **_: object) -> None:
        """Print or write the reference.

        Raises:
            CommandError: the file has no marks.
        """
        if into is None:
            self.stdout.write(reference())
            return
        text = into.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            raise CommandError(f"{into} lacks the marks {BEGIN.strip()} … {END.strip()}")
        into.write_text(insert_reference(text), encoding="utf-8")


def insert_reference(text: str) -> str:
    """Return a text with the reference between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{reference()}\n{END}{rest.partition(END)[2]}"
