"""The documents name files that exist, link to places that exist, and show the layers that import-linter checks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
TOP = "access|benchmarks|common|console|docs|documents|examples|executions|orchestrator|telemetry|tests|workflows"
#: A path from the top of the repository, or the bare name of a module beside one that stands before it in the line.
NAMED = re.compile(rf"(?<![\w/.-])(?:(?:{TOP})/[\w./-]*\w|[\w-]+\.py\b)")
#: What the tutorial has its reader make.
MADE_BY_READERS = "workflows/catalog/press-release/"
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def files_named(text: str) -> Iterator[tuple[int, Path]]:
    """Yield the line and the path of each file or folder that a document names."""
    for number, line in enumerate(text.splitlines(), 1):
        folder = None
        for name in NAMED.findall(line):
            if "/" in name:
                path = ROOT / name
                folder = path.parent if path.suffix else path
            elif folder is None or (ROOT / name).exists():
                continue
            else:
                path = folder / name
            if not name.startswith(MADE_BY_READERS):
                yield number, path


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page within the repository that lead nowhere."""
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield f"{target}#{anchor}" if anchor else target


def test_each_file_that_a_document_names_exists() -> None:
    found = [
        f"{page.relative_to(ROOT)}:{number} {path.relative_to(ROOT)}"
        for page in DOCS
        for number, path in files_named(page.read_text(encoding="utf-8"))
        if not path.exists()
    ]
    assert not found, f"documents name files that do not exist: {found}"


def test_each_link_leads_somewhere() -> None:
    found = [f"{page.relative_to(ROOT)} → {link}" for page in DOCS for link in broken_links(page)]
    assert not found, f"links lead nowhere: {found}"


@pytest.mark.parametrize(
    ("contract", "begins"),
    [
        ("Rooms: upper ones use lower ones, neighbours do not know each other", "rooms"),
        ("Layers of executions", "`executions`"),
        ("Layers of the engine", "`executions.engine`"),
    ],
)
def test_the_architecture_shows_the_layers_that_are_checked(contract: str, begins: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [each["layers"] for each in settings["tool"]["importlinter"]["contracts"] if each["name"] == contract]
    shown = " > ".join(layers).replace("|", "\\|")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"| {begins} | `{shown}` |" in page, f"docs/architecture.md has to show: {shown}"


def test_each_record_of_a_decision_is_numbered_as_its_file() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    titles = [path.read_text(encoding="utf-8").partition("\n")[0] for path in records]
    wrong = [title for number, title in zip(numbers, titles, strict=True) if not title.startswith(f"# {number}. ")]
    assert not wrong, f"titles have to begin with the number of their file, and the area: {wrong}"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("see `executions/api/views.py`, serializers.py", "executions/api/serializers.py"),
        ("see `docs/no-such-page.md`", "docs/no-such-page.md"),
        ("[x](../benchmarks/results/peers.md)", None),  # a link; another test follows it
    ],
)
def test_the_rule_about_files_sees_what_it_should(line: str, path: str | None) -> None:
    seen = [each.relative_to(ROOT).as_posix() for _, each in files_named(line)]
    assert (path in seen) if path else not seen
