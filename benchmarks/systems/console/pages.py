"""Times pages of the console in this process, and counts their queries and bytes: python -m … EXECUTIONS TRIES."""

from __future__ import annotations

import gzip
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.selectors import find_user
from benchmarks.systems.scale.executions import BIG_SCOPE, STEPS

STATIC = "/static/"
_ASSET = re.compile(r'<(?:script|link)[^>]+(?:src|href)="/static/([^"?]+\.(?:js|css))"')
_IMPORT = re.compile(r'(?:from|import)\s*"(\.[^"]+)"')


def paths_of(executions: int) -> dict[str, str]:
    """Return the addresses of pages by name."""
    last = (executions - 1) // 200 * 200  # the newest one of the big scope whose workflow has a definition
    one = f"/executions/00000000-0000-7000-8000-{last:012}/"
    document = f"/documents/00000000-0000-7000-8001-{last * STEPS:012}/"
    return {
        "home": "/",
        "inbox": "/inbox/",
        "executions": "/executions/",
        "executions that failed": "/executions/?status=failed",
        "executions of a workflow with a tag": "/executions/?workflow_id=w7&tag=pilot",
        "start": "/executions/new/",
        "execution, work": one,
        "execution, documents": f"{one}documents/",
        "execution, timeline": f"{one}timeline/",
        "execution, calls": f"{one}calls/",
        "execution, brief": f"{one}brief/",
        "step": f"{one}steps/s1/",
        "documents": "/documents/",
        "documents with a word": "/documents/?q=report",
        "document": document,
        "workflows": "/workflows/",
        "workflow": "/workflows/line/",
        "costs": "/costs/",
        "scopes": "/scopes/",
        "scope": f"/scopes/project/p{BIG_SCOPE}/",
        "account": "/account/",
        "audit log": "/audit/",
    }


def time_pages(executions: int, *, tries: int) -> list[dict[str, object]]:
    """Return the median time of each page for each user in milliseconds, its queries, and its bytes of code."""
    results: list[dict[str, object]] = []
    for name in ("all", "many", "few"):
        client = Client(SERVER_NAME="localhost")
        user = find_user(name)
        assert user is not None
        client.force_login(user)
        for page, path in paths_of(executions).items():
            took, status = [], 0
            for _ in range(tries + 1):
                began = time.perf_counter()
                response = client.get(path, follow=True)
                took.append((time.perf_counter() - began) * 1000)
                status = response.status_code
            with CaptureQueriesContext(
                connection,
            ) as queries:
                html = client.get(path, follow=True).content
            # The first one reads pages of the database into memory.
            found = {"user": name, "page": page, "status": status, "queries": len(queries), "html": len(html)}
            results.append({**found, "code": code_bytes(html.decode()), "p50_ms": statistics.median(took[1:])})
    return results


def code_bytes(html: str) -> int:
    """Return the compressed bytes of the scripts and styles of a page, with what its scripts import."""
    return sum(len(gzip.compress(each.read_bytes(), 9)) for each in sorted(files_of(html)))


def files_of(html: str) -> set[Path]:
    """Return the files of the scripts and styles of a page, with what its scripts import."""
    found: set[Path] = set()
    waiting = [_file(each) for each in _ASSET.findall(html)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imports_of(file)
    return found


def imports_of(file: Path) -> Iterator[Path]:
    """Yield the files that a script imports."""
    if file.suffix == ".js":
        for name in _IMPORT.findall(file.read_text(encoding="utf-8")):
            yield _file(str((file.parent / name).resolve().relative_to(_root(file))))


def _file(name: str) -> Path:
    found = finders.find(name)
    assert isinstance(found, str), f"there is no file {name}"
    return Path(found)


def _root(file: Path) -> Path:
    """Return the directory of static files that a file is in."""
    return next(each for each in file.parents if each.name == "static")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(time_pages(int(sys.argv[1]), tries=int(sys.argv[2]))))
