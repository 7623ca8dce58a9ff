"""The first account of an empty installation: a person makes it in the browser, with a secret that the server prints.

The secret is valid in the process that has made it, and only while there is no user. The process keeps only its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from access import services
from access.passwords.attempts import counted_attempt, record_success
from access.user import User
from common.database import bulk
from common.database.connections import give_back

_SECRET_BYTES = 16
_LOCK = "SELECT pg_advisory_xact_lock(7316204552)"  # one request at a time makes the first account
_hashes: set[str] = set()  # of the secret that this process has made


class SetUpAlready(Exception):
    """The installation has a user."""


def is_needed() -> bool:
    """Return whether the installation has no user."""
    return not User.objects.exists()


def new_secret() -> str:
    """Return a new secret, which replaces an earlier one."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    _hashes.clear()
    _hashes.add(hash_secret(secret))
    return secret


def hash_secret(secret: str) -> str:
    """Return the hash by which a secret is known."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_valid(secret_hash: str) -> bool:
    """Return whether this process has made the secret with this hash."""
    return any(hmac.compare_digest(each.encode(), secret_hash.encode()) for each in _hashes)


def create(*, name: str, password: str, network: str, now: datetime) -> User:
    """Create the first user, who administers the installation. The caller has checked the secret.

    Args:
        name: Name of the user.
        password: Its password.
        network: The client's network, as in `network_of`. It counts as an attempt at a password.
        now: The current time.

    Raises:
        SetUpAlready: there is a user, also if another request has just created it.
        BadName, BadPassword: the name or the password cannot be used.
        TooManyTries: too many attempts from this network. Busy: too many passwords are being hashed.
    """
    if not is_needed():
        raise SetUpAlready
    name = services.check_new_account(name=name, password=password)
    with counted_attempt(network=network, name=name, now=now) as counted:
        give_back()  # while this request waits for the hash
        hashed = make_password(password)  # before the transaction, because it takes long
    with transaction.atomic():
        bulk.execute(_LOCK, [])
        if not is_needed():
            raise SetUpAlready
        services.create_user(name=name, password_hash=hashed)
        user = services.ensure_user(name=name, superuser=True)
    record_success(counted)
    _hashes.clear()
    return user
