"""The session engine: Django's, with a row of ours that names the user. So users can list and end their sessions."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.db import transaction

from access.services import name_session
from common.database.connections import giving_back


class SessionStore(DatabaseSessionStore):
    """Sessions in the database. A session with a login has a name with its user, stored in the same transaction."""

    def save(self, must_create: bool = False) -> None:
        """Store the session, and whose it is."""
        if self.session_key is None:
            self.create()
            return
        with transaction.atomic():
            super().save(must_create)
            if (user_id := self.get(SESSION_KEY)) is not None:
                name_session(key=str(self.session_key), user_id=int(user_id))

    async def asave(self, must_create: bool = False) -> None:
        """Store the session in a thread, because a transaction needs one."""
        await sync_to_async(giving_back(self.save))(must_create)
