"""`manage.py worker`, started by a line on standard input."""

from __future__ import annotations

import sys

from django.core.management import call_command

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    call_command("worker")
