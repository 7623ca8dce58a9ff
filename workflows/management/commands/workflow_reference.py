"""`manage.py workflow_reference`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from workflows.definitions.docs import reference

BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"


class Command(BaseCommand):
    """Writes the reference of workflow definitions."""

    help = "Print every field of a workflow definition, or write it into a document between its marks."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--into", type=Path, help="a Markdown file with the marks")

    def handle(self, *, into: Path | None, **_: object) -> None:
        """Write it.

        Raises:
            CommandError: the file lacks the marks.
        """
        if into is None:
            self.stdout.write(reference())
            return
        text = into.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            raise CommandError(f"{into} has no place for it: {BEGIN.strip()} … {END.strip()}")
        into.write_text(placed(text), encoding="utf-8")


def placed(text: str) -> str:
    """Return a text with the reference between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{reference()}\n{END}{rest.partition(END)[2]}"
