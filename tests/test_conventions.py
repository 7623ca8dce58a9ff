"""House rules that no linter knows, read from the syntax tree. Each message says what to do instead."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("orchestrator", "console", "executions", "workflows", "documents", "telemetry", "access", "common")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MIGRATIONS = [path for path in SOURCES if path.parent.name == "migrations"]
CODE = [path for path in SOURCES if path not in MIGRATIONS]

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 40
MODULES_OF_A_FOLDER = 15
#: Where rows are written: each of these belongs to the room whose rows they are.
WRITERS = frozenset(
    {
        "access/oidc/accounts.py",
        "access/people/erasure.py",
        "access/people/invitations.py",
        "access/people/roles.py",
        "access/account/services.py",
        "access/services.py",
        "documents/comments.py",
        "documents/files/storage.py",
        "documents/repository.py",
        "executions/persistence/journal/journal.py",
        "executions/persistence/call_ledger.py",
        "executions/persistence/repositories.py",
        "executions/persistence/retention.py",
        "executions/persistence/to_columns.py",
        "executions/worker/recovery.py",
        "telemetry/ledger.py",
        "telemetry/rate_limits/store.py",
        "telemetry/scope_budgets.py",
        "workflows/repository.py",
    }
)
WRITES = frozenset({"create", "bulk_create", "bulk_update", "get_or_create", "update_or_create"})
WRITES_OF_A_QUERYSET = frozenset({"update", "delete"})
#: Where a state may change, by the one table of transitions.
STATE_CHANGERS = frozenset({"executions/engine/domain/execution.py", "executions/engine/transitions/core.py"})


#: Kinds of field, which migrations have to name; what they store may never change.
FIELDS = frozenset({"common.database.json_field"})

#: Where statements may name the tables of a package that we use; those of our own belong to the room of their name.
OWNERS_OF_TABLES = {
    "auth": "access",
    "knox": "access",
    "sessions": "access",
    "procrastinate": "executions/queue",
}

#: Words that make a reader ask who or what is meant. Name the actor, or use the term of docs/glossary.md.
MANNERED = (
    *("anybody", "nobody", "somebody", "whence", "whoever", "whomever", "none of", "of them", "what is over"),
    *("crowd", "doubt", "gibberish", "hindrance", "hindsight", "misfit", "papers", "patiently", "stations?"),
    "storyteller",
)
#: A phrase may go on in the next line, also of a comment.
_ANY_MANNERED = re.compile(r"\b(" + "|".join(MANNERED).replace(" ", r"[\s#]+") + r")\b", re.IGNORECASE)
#: The part of a document that is written from the code.
_GENERATED = re.compile(r"<!-- reference: begin -->.*?<!-- reference: end -->", re.DOTALL)
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
TOOLS = sorted(path for folder in ("tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py"))
ALL_TEXTS = [
    *DOCS,
    *CODE,
    *TOOLS,
    *sorted(path for kind in ("html", "js", "css") for path in (ROOT / "console").rglob(f"*/console/*.{kind}")),
    *(ROOT / name for name in ("Makefile", "Dockerfile", "compose.yaml", "pyproject.toml")),
]


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


def test_a_folder_can_be_looked_over() -> None:
    names = [path for path in [*CODE, *TOOLS] if path.name not in {"__init__.py", "conftest.py"}]
    many = {
        name_of(folder): number
        for folder, number in Counter(path.parent for path in names).items()
        if number > MODULES_OF_A_FOLDER
    }
    assert not many, f"more than {MODULES_OF_A_FOLDER} modules in {many}; make a folder of those of one topic"


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


@cache
def owners() -> dict[str, str]:
    """Return where each table may be named, by the table's name."""
    labels = {model._meta.db_table: model._meta.app_label for model in apps.get_models(include_auto_created=True)}
    return {table: OWNERS_OF_TABLES.get(label, label) for table, label in labels.items()}


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the texts of a module that are no docstrings; those within f-strings too."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(each.body[0].value) for each in ast.walk(tree) if isinstance(each, holders) and ast.get_docstring(each)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def foreign_tables(tree: ast.Module, name: str) -> Iterator[int]:
    """Yield the lines of statements in a file (`name`) that name a table, or a function of the queue, of elsewhere."""
    for node in strings(tree):
        for word in re.findall(r"\b[a-z]+_[a-z_0-9]+\b", str(node.value)):
            owner = OWNERS_OF_TABLES["procrastinate"] if word.startswith("procrastinate_") else owners().get(word)
            if owner is not None and not name.startswith(f"{owner}/"):
                yield node.lineno


def test_a_statement_names_the_tables_of_its_own_room() -> None:
    found = places(CODE, lambda path: foreign_tables(tree(path), name_of(path)))
    assert not found, f"{found} name tables of another room; have that room give a selector, or the part of a statement"


def mannered(text: str) -> Iterator[int]:
    """Yield the lines with a mannered word; one between quotes or backticks is a name, as that of a system's user."""
    text = _GENERATED.sub(lambda part: "\n" * part.group().count("\n"), text)
    for word in _ANY_MANNERED.finditer(text):
        before, after = text[max(word.start() - 1, 0)], text[word.end() : word.end() + 1]
        if before != after or before not in "`\"'":
            yield text.count("\n", 0, word.start()) + 1


def test_words_are_plain() -> None:
    texts = [path for path in ALL_TEXTS if path != Path(__file__).resolve()]  # this module lists the words
    found = places(texts, lambda path: mannered(path.read_text(encoding="utf-8")))
    assert not found, f"mannered words; name the actor, or use the term of docs/glossary.md: {found}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Nobody waits.", [1]),
        ("All\nof\n    # them wait.", [2]),
        ("What is over waits; none of it runs.", [1, 1]),
        ('as = "nobody"; it runs as `nobody`', []),
        ("A paper of themes, crowded.", []),
        ("<!-- reference: begin -->\nwhoever\n<!-- reference: end -->\nwhoever", [4]),
    ],
)
def test_the_rule_about_words_sees_what_it_should(text: str, lines: list[int]) -> None:
    assert list(mannered(text)) == lines


@pytest.mark.parametrize(
    ("line", "name", "found"),
    [
        ('"SELECT id FROM access_scope"', "documents/selectors.py", True),
        ('f"JOIN {x} ON true JOIN documents_document AS d ON true"', "executions/selectors/costs.py", True),
        ('"SELECT FROM procrastinate_jobs"', "executions/worker/recovery.py", True),
        ('"SELECT procrastinate_finish_job_v1(1)"', "executions/worker/recovery.py", True),
        ('"SELECT FROM knox_authtoken"', "executions/progress/consumer.py", True),
        ('"SELECT FROM knox_authtoken"', "access/selectors.py", False),
        ('"SELECT FROM procrastinate_jobs"', "executions/queue/jobs.py", False),
        ('"admin:documents_document_changelist"', "executions/admin.py", False),  # the name of a page
    ],
)
def test_the_rule_about_tables_sees_what_it_should(line: str, name: str, found: bool) -> None:
    assert bool(list(foreign_tables(ast.parse(f"x = {line}"), name))) is found


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
