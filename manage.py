#!/usr/bin/env python
"""The command line of the server."""

from __future__ import annotations

import sys

from django.core.management import execute_from_command_line

from orchestrator import startup

if __name__ == "__main__":
    startup.prepare(sys.argv[1:])
    execute_from_command_line(sys.argv)
