"""`manage.py doctor`: says what is wrong with the database of this installation."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from orchestrator.diagnosis import Level, examine


class Command(BaseCommand):
    """Ends with 1 if something must be mended."""

    help = "Look at the database of this installation, and say what is wrong; see docs/databases.md."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print what is found."""
        is_wrong = False
        for finding in examine():
            is_wrong = is_wrong or finding.level is Level.WRONG
            self.stdout.write(f"{finding.level.value:5}  {finding.text}")
        self.stdout.write("Settings of the web server are looked at by: manage.py check --deploy")
        if is_wrong:
            sys.exit(1)
