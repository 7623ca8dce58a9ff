"""TypeScript that `openapi-typescript` and `orval` make of our document: it compiles, and has every endpoint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

pytestmark = [pytest.mark.e2e, pytest.mark.node, pytest.mark.npm]

HERE = Path(__file__).parent / "generated"


def run(*command: str, cwd: Path, seconds: int = 120) -> str:
    """Run a program to its end and return what it wrote."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def folder(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generators, the document, and what they make of it."""
    made = Path(shutil.copytree(HERE, tmp_path_factory.mktemp("typescript") / "generated"))
    npm = shutil.which("npm")
    assert npm is not None
    run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", cwd=made, seconds=300)
    (made / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    run("node_modules/.bin/openapi-typescript", "openapi.json", "--output", "types.ts", cwd=made)
    files = ("--input", "./openapi.json", "--output", "./client.ts")
    run("node_modules/.bin/orval", *files, "--client", "fetch", cwd=made)
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation["operationId"]


def every_endpoint(document: dict[str, Any]) -> str:
    """Return a program that names every endpoint in what both have made."""
    lines = ['import type { operations, paths } from "./types";', 'import * as client from "./client";']
    for number, (path, method, name) in enumerate(operations(document)):
        function = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
        lines.append(f'export type Path{number} = paths["{path}"]["{method}"]["responses"];')
        lines.append(f'export type Operation{number} = operations["{name}"]["responses"];')
        lines.append(f"export const function{number}: Function = client.{function};")
    lines.append('export const position: NonNullable<operations["executions_stream"]["parameters"]["header"]> =')
    lines.append('  { "Last-Event-ID": "7" };')
    return "\n".join(lines) + "\n"


def test_both_have_every_endpoint_and_compile_strictly(folder: Path, document: dict[str, Any]) -> None:
    (folder / "all.ts").write_text(every_endpoint(document), encoding="utf-8")
    run("node_modules/.bin/tsc", "--project", "tsconfig.json", cwd=folder)


@pytest.mark.parametrize(
    "code",
    [
        'export const wrong: paths["/api/v1/nope"] = 1;',
        'export const wrong: operations["telemetry_summary"]["parameters"] = { query: { group_by: ["x"] } };',
        'export const wrong: components["schemas"]["TicketRequest"] = { seconds: 5, typo: 1 };',
    ],
)
def test_what_the_document_does_not_allow_does_not_compile(folder: Path, code: str) -> None:
    head = 'import type { components, operations, paths } from "./types";\n'
    head += "export type All = [components, operations, paths];\n"
    (folder / "all.ts").write_text(head, encoding="utf-8")
    run("node_modules/.bin/tsc", "--project", "tsconfig.json", cwd=folder)
    (folder / "all.ts").write_text(head + code + "\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"all\.ts\(3,"):
        run("node_modules/.bin/tsc", "--project", "tsconfig.json", cwd=folder)
