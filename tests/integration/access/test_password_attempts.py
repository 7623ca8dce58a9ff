"""Password attempts are limited in number, per user and per network, and in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from access import services
from access.errors import BadCredentials, Busy, TooManyTries
from access.models import PasswordTries
from access.passwords import hashers
from access.passwords.attempts import WINDOW_SECONDS, count_attempt, record_success
from access.user import User

PASSWORD = "correct horse battery staple"
HERE = {"REMOTE_ADDR": "203.0.113.7"}
THERE = {"REMOTE_ADDR": "203.0.113.8"}
Restrict = Callable[..., None]


@pytest.fixture
def carol(db: None) -> User:
    """A user with a password."""
    return User.objects.create_user("carol", password=PASSWORD, is_staff=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time; how many is counted elsewhere."""
    monkeypatch.setattr(hashers.BoundedPBKDF2PasswordHasher, "iterations", 1)


def by_token(name: str, password: str, **sent: Any) -> Any:
    client = APIClient(raise_request_exception=False)
    return client.post("/api/v1/auth/token", {"username": name, "password": password}, format="json", **sent)


def by_form(name: str, password: str, **sent: Any) -> Any:
    return Client().post("/login/", {"username": name, "password": password}, **sent)


def by_admin(name: str, password: str, **sent: Any) -> Any:
    return Client().post("/admin/login/", {"username": name, "password": password}, **sent)


WAYS = pytest.mark.parametrize("way", [by_token, by_form, by_admin])


@WAYS
def test_too_many_wrong_passwords_are_refused_with_a_sentence_and_a_time(
    carol: User, restrict: Restrict, way: Callable[..., Any]
) -> None:
    restrict(password_tries=3)
    assert {way("carol", "wrong", **HERE).status_code for _ in range(3)} <= {200, 401}
    for password in ("wrong", PASSWORD):  # the right one tells nothing either
        refused = way("carol", password, **HERE)
        assert refused.status_code == 429
        assert 0 < int(refused["Retry-After"]) <= WINDOW_SECONDS
        assert "Too many wrong passwords" in refused.content.decode()
    assert way("carol", PASSWORD, **THERE).status_code in {201, 302}, "a name alone is locked"
    assert way("bob", "wrong", **HERE).status_code in {200, 401}, "others at the address are locked"


def test_the_ways_count_together(carol: User, restrict: Restrict) -> None:
    restrict(password_tries=3)
    for way in (by_token, by_form, by_admin):
        way("carol", "wrong", **HERE)
    assert [way("carol", PASSWORD, **HERE).status_code for way in (by_token, by_form, by_admin)] == [429, 429, 429]


@pytest.mark.parametrize("name", ["carol", "nobody", "idle"])
def test_names_that_do_not_exist_count_as_well(carol: User, restrict: Restrict, name: str) -> None:
    User.objects.create_user("idle", password=PASSWORD, is_active=False)
    restrict(password_tries=2)
    assert [by_token(name, "wrong", **HERE).status_code for _ in range(3)] == [401, 401, 429]


def test_an_address_has_a_limit_over_all_names(carol: User, restrict: Restrict) -> None:
    restrict(password_tries_per_address=5)
    assert [by_token(f"user-{n}", "wrong", **HERE).status_code for n in range(6)] == [401] * 5 + [429]
    assert by_token("carol", PASSWORD, **HERE).status_code == 429
    assert by_token("carol", PASSWORD, **THERE).status_code == 201


def test_a_right_password_of_ones_own_allows_no_more_wrong_ones_of_others(carol: User, restrict: Restrict) -> None:
    restrict(password_tries_per_address=4)
    got = []
    for number in range(5):
        got.append(by_token(f"victim-{number}", "wrong", **HERE).status_code)
        got.append(by_token("carol", PASSWORD, **HERE).status_code)
    assert got == [401, 201, 401, 201, 401, 201, 401, 429, 429, 429]


def test_right_passwords_are_not_counted(carol: User, restrict: Restrict) -> None:
    restrict(password_tries=2, password_tries_per_address=2)
    assert [by_token("carol", PASSWORD, **HERE).status_code for _ in range(5)] == [201] * 5


@pytest.mark.parametrize(
    ("peer", "header", "shared"),
    [
        ("10.0.0.5", "X-Forwarded-For", False),
        ("203.0.113.9", "X-Forwarded-For", True),
        ("10.0.0.5", "Forwarded", True),
        ("10.0.0.5", "X-Real-IP", True),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    carol: User, restrict: Restrict, settings: Any, peer: str, header: str, shared: bool
) -> None:
    settings.TRUSTED_PROXIES = (ip_network("10.0.0.0/8"),)
    restrict(password_tries=1)
    for number in range(2):
        got = by_token("carol", "wrong", REMOTE_ADDR=peer, headers={header: f"198.51.100.{number}"}).status_code
        assert got == (429 if shared and number else 401)


def test_addresses_of_one_ipv6_network_count_together(carol: User, restrict: Restrict) -> None:
    restrict(password_tries=2)
    peers = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1"]
    assert [by_token("carol", "wrong", REMOTE_ADDR=peer).status_code for peer in peers] == [401, 401, 429, 401]


def test_after_a_while_the_count_begins_anew_and_old_rows_go(db: None, restrict: Restrict) -> None:
    restrict(password_tries=1)
    now = timezone.now()
    for number in range(12):
        count_attempt(network=f"198.51.100.{number}", name="carol", now=now)
    with pytest.raises(TooManyTries) as refused:
        count_attempt(network="198.51.100.1", name="carol", now=now + timedelta(seconds=100))
    assert refused.value.retry_after == WINDOW_SECONDS - 100
    later = now + timedelta(seconds=WINDOW_SECONDS)
    for number in range(3):
        count_attempt(network=f"203.0.113.{number}", name="carol", now=later)
    assert PasswordTries.objects.filter(began_at=later).count() == 6
    assert not PasswordTries.objects.filter(began_at=now).exists()
    count_attempt(network="198.51.100.1", name="carol", now=later)


def test_the_table_tells_no_name_and_no_address(carol: User) -> None:
    by_token("carol", "wrong", **HERE)
    assert all(len(row.key) == 64 and "carol" not in row.key for row in PasswordTries.objects.all())
    assert PasswordTries.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_tries_at_once_are_all_counted(restrict: Restrict) -> None:
    restrict(password_tries=5)

    def attempt(_: int) -> bool:
        try:
            count_attempt(network="203.0.113.7", name="carol", now=timezone.now())
        except TooManyTries:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(attempt, range(36))) == 5


def test_an_attempt_withdrawn_late_does_not_lower_the_count_of_the_next_window(db: None) -> None:
    now = timezone.now()
    counted = count_attempt(network="203.0.113.7", name="carol", now=now)
    count_attempt(network="203.0.113.7", name="other", now=now + timedelta(seconds=WINDOW_SECONDS))
    record_success(counted)
    assert PasswordTries.objects.get(key=counted.network).count == 1


# --- hashes -----------------------------------------------------------------------------------------------------------


def test_hashes_wait_for_each_other_and_for_a_limited_time(monkeypatch: pytest.MonkeyPatch, restrict: Restrict) -> None:
    monkeypatch.setattr(hashers, "MAX_WAIT_SECONDS", 0.2)
    restrict(password_hashes_at_once=1)
    hasher, slow = hashers.BoundedPBKDF2PasswordHasher(), threading.Thread()
    slow = threading.Thread(target=hasher.encode, args=("password", "salt"), kwargs={"iterations": 3_000_000})
    slow.start()
    while not hashers._running:
        time.sleep(0.001)
    with pytest.raises(Busy):
        hasher.encode("password", "salt")
    slow.join()
    assert hasher.encode("password", "salt")


def test_more_than_can_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "MAX_WAITING", 0)
    with pytest.raises(Busy):
        hashers.BoundedPBKDF2PasswordHasher().encode("password", "salt")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["carol", "nobody", "idle", "unusable"])
def test_no_connection_is_held_and_one_hash_computed_for_every_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("carol", password=PASSWORD)
    User.objects.create_user("idle", password=PASSWORD, is_active=False)
    User.objects.create_user("unusable")
    held: list[bool] = []
    encode = hashers.BoundedPBKDF2PasswordHasher.encode

    def look(*arguments: Any) -> str:
        held.append(connection.connection is not None)
        return encode(*arguments)

    monkeypatch.setattr(hashers.BoundedPBKDF2PasswordHasher, "encode", look)
    assert by_token(name, "wrong", **HERE).status_code == 401
    assert held == [False]


def test_a_hash_of_other_strength_is_replaced_as_its_owner_logs_in(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashers.BoundedPBKDF2PasswordHasher, "iterations", 2)
    assert by_token("carol", PASSWORD).status_code == 201
    carol.refresh_from_db()
    assert carol.password.split("$")[1] == "2"
    assert carol.check_password(PASSWORD)


@pytest.mark.django_db
def test_a_busy_server_says_so_on_each_way(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "MAX_WAITING", 0)
    for way in (by_token, by_form, by_admin):
        refused = way("carol", PASSWORD, **HERE)
        assert refused.status_code == 503
        assert int(refused["Retry-After"]) >= 1
        assert "Too many passwords are being checked." in refused.content.decode()


@pytest.mark.django_db
def test_a_try_whose_password_was_not_looked_at_does_not_count(
    carol: User, monkeypatch: pytest.MonkeyPatch, restrict: Restrict
) -> None:
    restrict(password_tries=2)
    monkeypatch.setattr(hashers, "MAX_WAITING", 0)
    assert [by_token("carol", PASSWORD, **HERE).status_code for _ in range(5)] == [503] * 5
    monkeypatch.undo()
    assert by_token("carol", PASSWORD, **HERE).status_code == 201


def test_a_network_has_a_share_of_the_hashes_that_wait() -> None:
    with ExitStack() as stack:
        for _ in range(hashers.MAX_HASHES_PER_NETWORK):
            stack.enter_context(hashers.reserve_hash("203.0.113.7"))
        with pytest.raises(Busy), hashers.reserve_hash("203.0.113.7"):
            pass
        with hashers.reserve_hash("203.0.113.8"):
            assert hashers.BoundedPBKDF2PasswordHasher().encode("password", "salt")
    with hashers.reserve_hash("203.0.113.7"):
        pass  # they have ended
    assert not hashers._per_network


@pytest.mark.django_db
def test_of_two_logins_that_hash_anew_both_are_right(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    anew = services.rehash_password

    def another_was_first(*, user: User, password: str) -> bool:
        anew(user=User.objects.get(pk=user.pk), password=password)
        return anew(user=user, password=password)

    monkeypatch.setattr(hashers.BoundedPBKDF2PasswordHasher, "iterations", 2)
    monkeypatch.setattr(services, "rehash_password", another_was_first)
    assert by_token("carol", PASSWORD, **HERE).status_code == 201


@pytest.mark.django_db
def test_a_user_who_is_deactivated_meanwhile_gets_no_token(carol: User) -> None:
    stale = User.objects.get(pk=carol.pk)
    User.objects.filter(pk=carol.pk).update(is_active=False)
    with pytest.raises(BadCredentials):
        services.issue_token(stale)
