"""The command line: Django's commands, with short messages for database errors instead of tracebacks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import psycopg
from django.core.management import execute_from_command_line
from django.db import Error, ProgrammingError

from common.database.connections import without_time_limit
from common.database.errors import is_transient
from orchestrator.legacy_database import LegacyDatabase

_MANAGE = Path(__file__).resolve().parents[1] / "manage.py"


def run(arguments: Sequence[str]) -> None:
    """Run a management command.

    Args:
        arguments: The command line, starting with the program's name.

    Raises:
        SystemExit: the command failed, or the database is not migrated, cannot be upgraded, or is not reachable; the
            message says which.
    """
    unlimited = without_time_limit() if arguments[1:2] == ["migrate"] else nullcontext()
    try:
        with unlimited:
            execute_from_command_line([*arguments])
    except LegacyDatabase as error:
        sys.exit(str(error))
    except ProgrammingError as error:
        if not isinstance(error.__cause__, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            raise
        sys.exit(f"The database is not up to date: {_first_line(error)}. Run `{_advice()}` first.")
    except (Error, psycopg.Error) as error:
        if not is_transient(error):
            raise
        sys.exit(f"The database is not available: {_first_line(error)}")


def command_text(*words: str) -> str:
    """Return a management command to type in the current directory, with this Python and this data directory."""
    manage = os.path.relpath(_MANAGE)
    python = sys.executable
    if (relative := os.path.relpath(python)).count("..") == 0:
        python = relative
    variables = [f"DATA_DIR={shlex.quote(os.environ['DATA_DIR'])}"] if os.environ.get("DATA_DIR") else []
    return " ".join([*variables, shlex.quote(python), shlex.quote(manage), *words])


def _advice() -> str:
    from django.conf import settings  # noqa: PLC0415 - the settings may be invalid

    return command_text("migrate") if settings.DATABASE_URL else command_text("serve")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
