"""All that the database of a test holds, as text."""

from __future__ import annotations

import re
import subprocess

from django.db import connection

from orchestrator.embedded_postgres import supervisor


def dump() -> str:
    """Return what `pg_dump` writes of all tables. It sees what is committed."""
    given = connection.get_connection_params()
    names = {"host": "--host", "port": "--port", "user": "--username"}
    options = [f"{option}={given[name]}" for name, option in names.items() if given.get(name)]
    command = [supervisor._programs() / "pg_dump", "--data-only", "--inserts", *options, given["dbname"]]
    text = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    return re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)  # with a random word


def lines_with(text: str, *, of: str | None = None) -> list[str]:
    """Return the rows of the database that hold a text in any letter case, each shortened around its first place."""
    found = []
    for line in (dump() if of is None else of).splitlines():
        if (place := re.search(re.escape(text), line, re.IGNORECASE)) is not None:
            found.append(f"{line[:60]} … {line[max(0, place.start() - 40) : place.end() + 40]}")
    return found
