"""Password authentication with limited attempts."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password, verify_password
from django.http import HttpRequest

from access import selectors, services
from access.audit import Act, record_read
from access.audit.recording import hidden_name
from access.passwords.attempts import counted_attempt, record_success
from access.user import User
from common.database.connections import give_back, giving_back
from common.database.server import database_now
from common.present_request import network_of


class PasswordBackend(ModelBackend):
    """Django's password check with limited attempts. All login forms and endpoints use it."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the active user with this name and password, or None. Both results take the same time.

        Raises:
            TooManyTries: too many attempts from this network, or for this name from it.
            Busy: too many password checks are queued.
        """
        name = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if name is None or password is None:
            return None
        if request is None:  # a management command
            return self._check(name, password)
        network = network_of(request)
        with counted_attempt(network=network, name=name, now=database_now()) as counted:
            user = self._check(name, password)
        if user is None:
            record_read(Act.LOGIN_FAIL, "name", hidden_name(name))
        else:
            record_success(counted)
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Authenticate in the request's own thread: hashing would block the threads that all requests share.

        Raises:
            TooManyTries, Busy: see `authenticate`.
        """
        return await sync_to_async(giving_back(self.authenticate))(request, username, password, **kwargs)

    def _check(self, name: str, password: str) -> User | None:
        user = selectors.find_user(name)
        give_back()  # while this request waits for the hash
        if user is None:
            make_password(password)  # takes the same time as a password check
            return None
        is_right, is_outdated = verify_password(password, user.password)
        if not is_right or not self.user_can_authenticate(user):
            return None
        if is_outdated and not services.rehash_password(user=user, password=password):
            user.refresh_from_db(fields=["password"])  # a concurrent login rehashed it, or the password was changed
            is_right, _ = verify_password(password, user.password)
        return user if is_right else None
