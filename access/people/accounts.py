"""Accounts that people make for themselves with an invitation."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.contrib.auth.hashers import make_password

from access import services
from access.passwords.attempts import counted_attempt, record_success
from access.people import invitations
from access.user import User
from common.database.connections import give_back


def join_as_new(*, name: str, password: str, token_hash: str, network: str, now: datetime) -> User:
    """Create a user who accepts an invitation, and return it: both or neither. It counts as an attempt at a password.

    Args:
        name: Name of the new user.
        password: Its password.
        token_hash: Hash of the invitation's token.
        network: The client's network, as in `network_of`.
        now: The current time.

    Raises:
        BadName, BadPassword, NameTaken: the name or the password cannot be used.
        TooManyTries: too many attempts from this network. Busy: too many passwords are being hashed.
        NotFound, InvitationEnded, InvitationForAnother: see `invitations.accept_as_new`.
    """
    name = services.check_new_account(name=name, password=password)
    with counted_attempt(network=network, name=name, now=now) as counted:
        give_back()  # while this request waits for the hash
        hashed = make_password(password)  # before the transaction, because it takes long
    make_user = partial(services.create_user, name=name, password_hash=hashed)
    accepted = invitations.accept_as_new(make_user=make_user, token_hash=token_hash, now=now)
    record_success(counted)
    return accepted.user
