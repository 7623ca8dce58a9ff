"""Authentication by name and password."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password, verify_password
from django.db import connection
from django.http import HttpRequest

from access import selectors, services
from access.errors import Busy
from access.passwords.attempts import count_try, forget_try, take_back_try
from access.passwords.hashers import hashing_for
from access.user import User
from common.addresses import client_network
from common.database.server import database_now


class PasswordBackend(ModelBackend):
    """Django's own check of passwords, for a limited number of tries. Every form and endpoint passes through it."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the active user with this name and password, None when there is none. Both take equally long.

        Raises:
            TooManyTries: of this name from there, or from there. Busy: too many passwords are checked now.
        """
        name = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if name is None or password is None:
            return None
        if request is None:  # a command on this machine
            return self._checked(name, password)
        network = network_of(request)
        counted = count_try(network=network, name=name, now=database_now())
        try:
            with hashing_for(network):
                user = self._checked(name, password)
        except Busy:
            take_back_try(counted)  # the password was not looked at
            raise
        if user is not None:
            forget_try(counted)
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Do the same in the request's own thread: the hash would hold up the threads that all requests share.

        Raises:
            TooManyTries, Busy: as above.
        """
        return await sync_to_async(self.authenticate)(request, username, password, **kwargs)

    def _checked(self, name: str, password: str) -> User | None:
        user = selectors.user_called(name)
        if not connection.in_atomic_block:
            connection.close()  # others need it while this request waits for the hash
        if user is None:
            make_password(password)  # takes as long as the check of a password
            return None
        is_right, is_outdated = verify_password(password, user.password)
        if not is_right or not self.user_can_authenticate(user):
            return None
        if is_outdated and not services.hash_password_anew(user=user, password=password):
            user.refresh_from_db(fields=["password"])  # another login was first, or the password was changed
            is_right, _ = verify_password(password, user.password)
        return user if is_right else None


def network_of(request: HttpRequest) -> str:
    """Return the network that a request comes from, as the trusted proxies tell."""
    peer, forwarded = request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_network(peer, forwarded, trusted=settings.TRUSTED_PROXIES)
