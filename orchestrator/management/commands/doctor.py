"""`manage.py doctor`: finds problems of the database of this installation."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from orchestrator.diagnosis import Level, examine


class Command(BaseCommand):
    """Prints findings; exits with 1 if a problem must be fixed."""

    help = "Check the database of this installation; see docs/databases.md."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print the findings."""
        is_wrong = False
        for finding in examine():
            is_wrong = is_wrong or finding.level is Level.WRONG
            self.stdout.write(f"{finding.level.value:5}  {finding.text}")
        self.stdout.write("To check the settings of the web server, run: manage.py check --deploy")
        if is_wrong:
            sys.exit(1)
