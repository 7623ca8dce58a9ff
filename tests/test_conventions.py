"""House rules that no linter knows, read from the syntax tree. Each message says what to do instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("orchestrator", "console", "executions", "workflows", "documents", "telemetry", "access", "common")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MIGRATIONS = [path for path in SOURCES if path.parent.name == "migrations"]
CODE = [path for path in SOURCES if path not in MIGRATIONS]

LINES_OF_A_FILE = 300
LINES_OF_A_FUNCTION = 40
#: Where rows are written: each of these belongs to the room whose rows they are.
WRITERS = frozenset(
    {
        "access/services.py",
        "documents/repository.py",
        "executions/journal.py",
        "executions/ledger.py",
        "executions/repository.py",
        "executions/retention.py",
        "executions/rows.py",
        "executions/sweep.py",
        "telemetry/recorder.py",
        "telemetry/turns.py",
        "workflows/repository.py",
    }
)
WRITES = frozenset({"create", "bulk_create", "bulk_update", "get_or_create", "update_or_create"})
WRITES_OF_A_QUERYSET = frozenset({"update", "delete"})
#: Where a state may change, by the one table of transitions.
STATE_CHANGERS = frozenset({"executions/engine/execution.py", "executions/engine/changes.py"})


#: Kinds of field, which migrations have to name; what they store may never change.
FIELDS = frozenset({"access.json_text"})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def chain(node: ast.expr) -> set[str]:
    """Return all names in `a.b(…).c`."""
    names: set[str] = set()
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return names
    return names | {node.id}


def writes(tree: Iterator[ast.AST]) -> Iterator[int]:
    """Yield the lines that write rows through the ORM."""
    for node in tree:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method, target = node.func.attr.removeprefix("a"), chain(node.func.value)
            on_rows = "objects" in target
            on_queryset = on_rows or bool({"filter", "exclude"} & target)
            if (method in WRITES and on_rows) or (method in WRITES_OF_A_QUERYSET and on_queryset):
                yield node.lineno
            if method == "save" and "super" not in target:
                yield node.lineno


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_rows_are_written_only_where_their_room_writes(path: Path) -> None:
    if name_of(path) not in WRITERS and not name_of(path).startswith("executions/engine/"):  # it knows no rows
        lines = list(writes(nodes(path)))
        assert not lines, f"{name_of(path)}:{lines} writes rows; do it in one of {sorted(WRITERS)}"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_nobody_assigns_a_status(path: Path) -> None:
    lines = [
        target.lineno
        for node in nodes(path)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "status"
    ]
    assert not lines, f"{name_of(path)}:{lines} assigns a status; make a move of executions/engine/changes.py"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_values_get_another_status_only_by_a_transition(path: Path) -> None:
    if name_of(path) not in STATE_CHANGERS:
        lines = [
            node.lineno
            for node in nodes(path)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "replace"
            and any(chain(keyword.value) & {"ExecutionStatus", "StepStatus"} for keyword in node.keywords)
        ]
        assert not lines, f"{name_of(path)}:{lines} replaces a status; make a move of executions/engine/changes.py"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES_OF_A_FILE, f"{name_of(path)} has {lines} lines; find the second thing in it and move it out"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1})"
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LINES_OF_A_FUNCTION
    ]
    assert not long, f"{name_of(path)}: more than {LINES_OF_A_FUNCTION} lines in {long}"


@pytest.mark.parametrize("path", MIGRATIONS, ids=name_of)
def test_a_migration_stands_alone(path: Path) -> None:
    imported = {
        name
        for node in nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    ours = {name for name in imported - FIELDS if name.split(".")[0] in {*ROOMS, ""}}
    assert not ours, f"{name_of(path)} imports {ours}, which will have changed when it runs"


@pytest.mark.parametrize("path", [path for path in CODE if path.name == "models.py"], ids=name_of)
def test_a_model_has_no_order_of_its_own(path: Path) -> None:
    lines = [
        node.lineno
        for node in nodes(path)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "ordering" for target in node.targets)
    ]
    assert not lines, f"{name_of(path)}:{lines} sets Meta.ordering; order where it is read, with the id last"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_nothing_happens_by_a_signal(path: Path) -> None:
    lines = [
        node.lineno
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(("signals", "django.dispatch"))
    ]
    assert not lines, f"{name_of(path)}:{lines} uses Django's signals; call the service"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Row.objects.create(a=1)", True),
        ("models.Row.objects.filter(id=1).update(a=1)", True),
        ("rows.filter(id=1).delete()", True),
        ("await Row.objects.acreate(a=1)", True),
        ("row.save(update_fields=['a'])", True),
        ("services.create(a=1)", False),
        ("seen.update(a=1)", False),
        ("super().save()", False),
    ],
)
def test_the_rule_about_rows_sees_what_it_should(line: str, found: bool) -> None:
    tree = ast.parse(f"async def f():\n    {line}")
    assert bool(list(writes(ast.walk(tree)))) is found
