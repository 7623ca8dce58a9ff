"""House rules that no linter knows, read from the syntax tree. Each message says what to do instead."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("orchestrator", "console", "executions", "workflows", "documents", "telemetry", "access", "common")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MIGRATIONS = [path for path in SOURCES if path.parent.name == "migrations"]
CODE = [path for path in SOURCES if path not in MIGRATIONS]

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 40
MODULES_OF_A_FOLDER_OF_TESTS = 15
#: Where rows are written: each of these belongs to the room whose rows they are.
WRITERS = frozenset(
    {
        "access/services.py",
        "documents/repository.py",
        "executions/persistence/journal/journal.py",
        "executions/persistence/call_ledger.py",
        "executions/persistence/repositories.py",
        "executions/persistence/retention.py",
        "executions/persistence/to_columns.py",
        "executions/worker/recovery.py",
        "telemetry/ledger.py",
        "telemetry/rate_limits/store.py",
        "workflows/repository.py",
    }
)
WRITES = frozenset({"create", "bulk_create", "bulk_update", "get_or_create", "update_or_create"})
WRITES_OF_A_QUERYSET = frozenset({"update", "delete"})
#: Where a state may change, by the one table of transitions.
STATE_CHANGERS = frozenset({"executions/engine/domain/execution.py", "executions/engine/transitions/core.py"})


#: Kinds of field, which migrations have to name; what they store may never change.
FIELDS = frozenset({"common.database.json_field"})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(tree(path))


def places(files: Iterable[Path], lines_of: Callable[[Path], Iterable[int]]) -> list[str]:
    """Return where a rule is broken, as `file:line`."""
    return [f"{name_of(path)}:{line}" for path in files for line in lines_of(path)]


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


def test_the_rules_see_all_rooms() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in CODE} == set(ROOMS)
    assert {ROOT / name for name in WRITERS | STATE_CHANGERS} <= set(CODE)


def test_rows_are_written_only_where_their_room_writes() -> None:
    others = [
        path
        for path in CODE
        if name_of(path) not in WRITERS and not name_of(path).startswith("executions/engine/")  # it knows no rows
    ]
    found = places(others, lambda path: writes(nodes(path)))
    assert not found, f"{found} write rows; do it in one of {sorted(WRITERS)}"


def test_a_status_is_not_assigned() -> None:
    def assigned(path: Path) -> Iterator[int]:
        for node in nodes(path):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (
                    each.lineno for each in targets if isinstance(each, ast.Attribute) and each.attr == "status"
                )

    found = places(CODE, assigned)
    assert not found, f"{found} assign a status; make a move of executions/engine/transitions/core.py"


def test_values_get_another_status_only_by_a_transition() -> None:
    def replaced(path: Path) -> Iterator[int]:
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace":
                named: set[str] = set().union(*(chain(keyword.value) for keyword in node.keywords))
                yield from [node.lineno] if named & {"ExecutionStatus", "StepStatus"} else []

    found = places([path for path in CODE if name_of(path) not in STATE_CHANGERS], replaced)
    assert not found, f"{found} replace a status; make a move of executions/engine/transitions/core.py"


def test_a_file_can_be_read_in_one_go() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    long = {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_FILE}
    assert not long, f"more than {LINES_OF_A_FILE} lines in {long}; find the second thing in it and move it out"


def test_a_function_fits_on_a_screen() -> None:
    def long(path: Path) -> Iterator[int]:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                is_long = (node.end_lineno or 0) - node.lineno >= LINES_OF_A_FUNCTION
                yield from [node.lineno] if is_long else []

    found = places(CODE, long)
    assert not found, f"functions of more than {LINES_OF_A_FUNCTION} lines: {found}"


def test_a_folder_of_tests_can_be_looked_over() -> None:
    names = [path for path in (ROOT / "tests").rglob("*.py") if path.name not in {"__init__.py", "conftest.py"}]
    many = {
        name_of(folder): number
        for folder, number in Counter(path.parent for path in names).items()
        if number > MODULES_OF_A_FOLDER_OF_TESTS
    }
    assert not many, f"more than {MODULES_OF_A_FOLDER_OF_TESTS} modules in {many}; make a folder of those of one topic"


def test_what_starts_processes_is_marked() -> None:
    modules = (ROOT / "tests" / "e2e").rglob("test_*.py")
    bare = [name_of(path) for path in modules if "pytest.mark.e2e" not in path.read_text(encoding="utf-8")]
    assert not bare, f"{bare} have no mark; put `pytestmark = pytest.mark.e2e` at the top"


def test_a_migration_stands_alone() -> None:
    def ours(path: Path) -> Iterator[int]:
        for node in nodes(path):
            if isinstance(node, ast.Import | ast.ImportFrom):
                single = isinstance(node, ast.ImportFrom)
                names = {node.module or ""} if single else {each.name for each in node.names}  # type: ignore[union-attr]
                if any(name.split(".")[0] in {*ROOMS, ""} for name in names - FIELDS):
                    yield node.lineno

    assert MIGRATIONS
    found = places(MIGRATIONS, ours)
    assert not found, f"{found} import what will have changed when they run"


def test_a_model_has_no_order_of_its_own() -> None:
    def ordering(path: Path) -> Iterator[int]:
        for node in nodes(path):
            targets = node.targets if isinstance(node, ast.Assign) else []
            yield from (each.lineno for each in targets if isinstance(each, ast.Name) and each.id == "ordering")

    models = [path for path in CODE if path.name == "models.py"]
    assert models
    found = places(models, ordering)
    assert not found, f"{found} set Meta.ordering; order where it is read, with the id last"


def test_nothing_happens_by_a_signal() -> None:
    def signals(path: Path) -> Iterator[int]:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(("signals", "django.dispatch")):
                yield node.lineno

    found = places(CODE, signals)
    assert not found, f"{found} use Django's signals; call the service"


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
