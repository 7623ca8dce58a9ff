"""Each error has a code, a status and a row in docs/errors.md; only a few are exceptions of the web framework."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import pytest
from rest_framework import exceptions

from common.errors import DomainError, PreconditionFailed
from orchestrator.problems import STATUS, status_of
from tests.test_conventions import CODE, ROOT, name_of

#: Exceptions that Django REST framework raises by itself, or that it has to get.
RAISED_BY_THE_FRAMEWORK: tuple[type[exceptions.APIException], ...] = (
    exceptions.AuthenticationFailed,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.NotAuthenticated,
    exceptions.ParseError,
    exceptions.PermissionDenied,
    exceptions.UnsupportedMediaType,
)
#: Only a subclass of these may be an exception of Django REST framework: see common/errors.py.
MAY_BE_SUBCLASSED: tuple[type[exceptions.APIException], ...] = (
    exceptions.AuthenticationFailed,
    exceptions.ParseError,
    exceptions.ValidationError,
)
ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \| \S.* \| \S.* \|$", re.MULTILINE)
CLASS = re.compile(r"^ *class (?P<name>\w+)\((?P<bases>[^)]*)\)", re.MULTILINE)


def bases_in(found: re.Match[str]) -> set[str]:
    """Return the last names of the bases of a class."""
    return {base.partition("[")[0].strip().rpartition(".")[2] for base in found["bases"].split(",")}


def defined_below(root: type[Exception]) -> Iterator[type[Exception]]:
    """Yield the subclasses of an exception in our code, found by the names of their bases.

    Each process that collects these tests looks for them. The texts are searched, as parsing them takes two seconds.
    """
    defined = [(path, found) for path in CODE for found in CLASS.finditer(path.read_text(encoding="utf-8"))]
    names = {root.__name__} | {
        name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, root)
    }
    while more := {found["name"] for _, found in defined if bases_in(found) & names} - names:
        names |= more
    for path, found in defined:
        if found["name"] in names:
            module = import_module(name_of(path).removesuffix(".py").replace("/", "."))
            kind = getattr(module, found["name"], None)
            if isinstance(kind, type) and issubclass(kind, root) and kind is not root:
                yield kind


@cache
def domain_errors() -> tuple[type[DomainError], ...]:
    return tuple(kind for kind in defined_below(DomainError) if issubclass(kind, DomainError))


@cache
def framework_errors() -> tuple[type[exceptions.APIException], ...]:
    return tuple(kind for kind in defined_below(exceptions.APIException) if issubclass(kind, exceptions.APIException))


def test_all_errors_are_seen() -> None:
    assert {*STATUS} <= {*domain_errors()}
    assert {kind.__name__ for kind in domain_errors()} >= {
        "TooManyStreams",
        "StaleCall",
        "BadPrecondition",
        "ScriptedWait",
    }
    assert {kind.__name__ for kind in framework_errors()} >= {"BadTicket", "DuplicateKeys", "InvalidForm"}


@pytest.mark.parametrize("kind", domain_errors(), ids=lambda kind: kind.__name__)
def test_each_error_has_a_status(kind: type[DomainError]) -> None:
    assert 400 <= status_of(kind) < 600
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.code != DomainError.code


def test_a_code_belongs_to_one_error() -> None:
    """A subclass may have the code of its base class; a failed precondition is a version conflict."""
    owners = [kind for kind in domain_errors() if "code" in vars(kind) and kind is not PreconditionFailed]
    counts = Counter(kind.code for kind in owners)
    assert [code for code, count in counts.items() if count > 1] == []


def test_the_page_of_errors_has_each_code_and_no_other() -> None:
    expected = {(kind.code, status_of(kind)) for kind in domain_errors()}
    for kind in (*RAISED_BY_THE_FRAMEWORK, *framework_errors()):
        if not issubclass(kind, exceptions.ValidationError):  # answered as `invalid`
            expected.add((kind.default_code.replace("_", "-"), int(kind.status_code)))
    rows = [(code, int(status)) for code, status in ROW.findall(page())]
    assert sorted(rows) == sorted(expected)


def page() -> str:
    return (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def test_errors_belong_to_the_domain_unless_the_framework_needs_its_own() -> None:
    found = [kind.__qualname__ for kind in framework_errors() if not issubclass(kind, MAY_BE_SUBCLASSED)]
    assert not found, f"derive these from a class in common/errors.py: {found}"
