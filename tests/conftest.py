"""One database server for the whole test session, and the users of the tests.

This module runs before Django reads its settings: they name the database.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from pytest_django import DjangoDbBlocker

from tests.support import fuzzing

#: Programs that tests with a mark need; a mark needs one of its programs.
PROGRAMS = {
    "browser": ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"),
    "node": ("node",),
    "redis": ("redis-server",),
    "pushpin": ("pushpin",),
    "postgresql": ("initdb",),
    "pgbouncer": ("pgbouncer",),
    "compiler": ("cc",),
    "office": ("soffice",),
}
STOP_SECONDS = 180.0
GARBAGE_OBJECTS = 10_000  # threshold of a young collection, as of the web server
_DATA_DIR_PREFIX = "scriptorium-test-"
#: The one authority that tests trust. Each new HTTP client reads all authorities: 40 ms of CPU for the usual 150.
_CERTIFICATE = Path(__file__).parent / "support" / "certificate.pem"


def _prepare_environment() -> Path | None:
    """Name the session's data directory to this process and all that it starts; return it when it is ours to remove."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return None
    for name in [*os.environ]:
        if name.endswith(("_API_KEY", "_API_KEY_FILE", "_BASE_URL")) or name.startswith("MODEL_"):
            del os.environ[name]  # no test asks a model that costs
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of several hundred processes would compile everything anew
    data_dir = Path(tempfile.mkdtemp(prefix=_DATA_DIR_PREFIX)).resolve()
    os.environ.update(DJANGO_SETTINGS_MODULE="orchestrator.settings", DATA_DIR=str(data_dir), LOCAL="1", DEBUG="0")
    os.environ["SSL_CERT_FILE"] = str(_CERTIFICATE)
    os.environ["AUTOBAHN_USE_NVX"] = "0"  # no server has WebSockets, whose validator takes 50 ms of each start
    os.environ["POSTGRES_FSYNC"] = "0"
    os.environ["DATABASE_IDLE_TRANSACTION_SECONDS"] = "120"  # a busy machine pauses what is tested
    os.environ["DATABASE_WAIT_SECONDS"] = "180"
    return data_dir


def _clean_up(data_dir: Path) -> None:
    """Let the session's server go, and remove what it wrote."""
    instance.release(data_dir)
    if instance.home_of(data_dir).exists() and not instance.wait_until_stopped(data_dir, seconds=STOP_SECONDS):
        raise RuntimeError(f"something still uses the server of {data_dir}")
    shutil.rmtree(data_dir)


# A busy machine makes an example slower, not wrong.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=fuzzing.examples(100))
hypothesis.settings.load_profile("suite")

DATA_DIR = _prepare_environment()

from orchestrator import startup  # noqa: E402
from orchestrator.embedded_postgres import instance  # noqa: E402

if DATA_DIR is not None:
    atexit.register(_clean_up, DATA_DIR)
startup.prepare()
django.setup()
gc.disable()  # until all tests are collected

from django.db import connections  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from access import services as access  # noqa: E402
from access.credentials.last_use import LAST_USES  # noqa: E402
from access.passwords.hashers import BoundedPBKDF2PasswordHasher  # noqa: E402
from access.user import User  # noqa: E402
from common import limits as common_limits  # noqa: E402
from common.database.server import server  # noqa: E402
from executions.persistence import notifier  # noqa: E402
from executions.persistence.journal import connection  # noqa: E402
from telemetry.pricing import prices  # noqa: E402
from telemetry.rate_limits import store  # noqa: E402
from tests.factories import reports  # noqa: E402
from tests.factories.callers import Caller, make_caller  # noqa: E402
from tests.support import databases, openapi_answers, postgresql_servers  # noqa: E402

databases.install()
BoundedPBKDF2PasswordHasher.iterations = 1_000  # of a million; real processes keep theirs


@cache
def _missing() -> dict[str, str]:
    """Return what marked tests need and this machine lacks, by mark."""
    there = {mark for mark, names in PROGRAMS.items() if any(map(shutil.which, names))}
    if postgresql_servers.programs() is not None:  # Debian's packages do not put them on the path
        there.add("postgresql")
    return {mark: names[0] for mark, names in PROGRAMS.items() if mark not in there}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a program that is not there; with REQUIRE_ALL=1 that is a failure."""
    for mark, program in _missing().items():
        if item.get_closest_marker(mark) is not None:
            leave = pytest.fail if os.environ.get("REQUIRE_ALL") == "1" else pytest.skip
            leave(f"the {mark} tests need {program}, which is not installed")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Give this thread's connection back before the tables are emptied: the test may have had the server end it."""
    for each in connections.all(initialized_only=True):
        if not each.in_atomic_block:
            each.close()


def pytest_collection_finish() -> None:
    """Exempt what was imported from garbage collection: it stays. Collect more rarely: that took a twentieth."""
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
    gc.enable()


def pytest_report_header() -> list[str]:
    """Say what is left out on this machine."""
    return [f"left out: the {mark} tests ({program} is not installed)" for mark, program in _missing().items()]


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The test database, which goes with the server that it is on."""
    with django_db_blocker.unblock():
        databases.make()
    yield
    notifier.stop()
    connection.close()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a process keeps of the tables, which are emptied after a test: definitions, prices, uses of tokens."""
    yield
    LAST_USES.stop()
    server.clear_caches()
    prices.CONFIGURED.clear()
    store.LIMITS.clear()


@pytest.fixture
def restrict() -> Iterator[Callable[..., None]]:
    """Return what changes limits by name until the test ends."""
    before = common_limits.limits()

    def change(**values: int) -> None:
        common_limits.configure(replace(common_limits.limits(), **values))

    yield change
    common_limits.configure(before)


@pytest.fixture
def postgresql() -> Iterator[postgresql_servers.Servers]:
    """What makes servers of an installed PostgreSQL; mark a test that uses it with `postgresql`."""
    with postgresql_servers.servers() as made:
        yield made


@pytest.fixture
def alice(db: None) -> User:
    """A user."""
    return User.objects.create_user("alice")


@pytest.fixture
def bob(db: None) -> User:
    """A user who has nothing to do with Alice."""
    return User.objects.create_user("bob")


@pytest.fixture
def staff(db: None) -> User:
    """A user who sees everything."""
    return User.objects.create_user("staff", is_staff=True)


class CheckedClient(APIClient):
    """A client that holds each answer against the OpenAPI document."""

    def request(self, **given: Any) -> Any:
        """Ask, and look at the answer."""
        response = super().request(**given)
        openapi_answers.check(response)
        return response


@pytest.fixture
def api() -> Callable[[User | None], APIClient]:
    """Return what makes a client: with a token of the given user, or without one."""

    def client(user: User | None = None) -> APIClient:
        made = CheckedClient(raise_request_exception=False)
        if user is not None:
            _, token = access.issue_token(user)
            made.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return made

    return client


@pytest.fixture
def caller(db: None) -> Callable[..., Caller]:
    """Makes callers by name."""
    return make_caller


@pytest.fixture
def ada(caller: Callable[..., Caller]) -> Caller:
    """A user with scopes of her own."""
    return caller("ada")


@pytest.fixture
def eve(caller: Callable[..., Caller]) -> Caller:
    """A user without a role in Ada's scopes."""
    return caller("eve")


@pytest.fixture
def report(db: None) -> int:
    """The version of the published workflow."""
    return reports.publish()
