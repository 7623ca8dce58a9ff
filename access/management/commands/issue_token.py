"""`manage.py issue_token NAME`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from access import services


class Command(BaseCommand):
    """Prints a new token."""

    help = (
        "Print a new API token of a user, and nothing else; create the user if missing. "
        "With --password-stdin the user can also log in to the web pages: "
        "echo -n SECRET | manage.py issue_token NAME --password-stdin"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("name")
        parser.add_argument(
            "--superuser", action="store_true", help="allow the user to use the admin and to see all data"
        )
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the user's password from standard input"
        )

    def handle(self, *, name: str, superuser: bool, password_stdin: bool, **_: object) -> None:
        """Issue the token.

        Raises:
            CommandError: the name or the password is invalid; the message gives the reason.
        """
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
        if password == "":
            raise CommandError("There is no password on standard input.")
        try:
            user = services.ensure_user(name=name, superuser=superuser, password=password)
        except services.BadName as error:
            raise CommandError(f"The user name {name!r} is invalid: {error}") from error
        except services.BadPassword as error:
            raise CommandError(f"The password is invalid. {error}") from error
        _row, token = services.issue_token(user)
        self.stdout.write(token)
