"""`manage.py issue_token NAME`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from access import services


class Command(BaseCommand):
    """Prints a token and nothing else."""

    help = (
        "Print a new API token of a user, and nothing else; the user is made when missing. "
        "With --password-stdin the user can also log in to the pages: echo -n SECRET | manage.py issue_token NAME ..."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("name")
        parser.add_argument("--superuser", action="store_true", help="the user may use the admin and sees everything")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the user's password from standard input"
        )

    def handle(self, *, name: str, superuser: bool, password_stdin: bool, **_: object) -> None:
        """Issue the token.

        Raises:
            CommandError: the name or the password cannot be used; the message says why.
        """
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
        if password == "":
            raise CommandError("There is no password on standard input.")
        try:
            user = services.ensure_user(name=name, superuser=superuser, password=password)
        except services.BadName as error:
            raise CommandError(f"Nobody can have the name {name!r}: {error}") from error
        except services.BadPassword as error:
            raise CommandError(f"This password cannot be used. {error}") from error
        _row, token = services.issue_token(user)
        self.stdout.write(token)
