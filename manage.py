#!/usr/bin/env python
"""The command line of the server."""

from __future__ import annotations

import sys

try:
    from orchestrator import command_line, startup
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] == "orchestrator":
        raise
    sys.exit(f"The package {missing.name!r} is not installed for {sys.executable}. Run .venv/bin/python manage.py.")

if __name__ == "__main__":
    startup.prepare(sys.argv[1:])
    command_line.run(sys.argv)
