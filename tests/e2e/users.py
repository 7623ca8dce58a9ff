"""The users of tests of real processes, made by one process: `python -m tests.e2e.users`."""

from __future__ import annotations

import json
import sys

#: Each test may have a user to itself; `Machine.token` makes any other one, which takes seconds.
NAMES = (
    *("ada", "alice", "bob", "commuter", "cora", "delivery", "dora", "fay", "flora", "grace", "hedy", "ida", "joan"),
    *("libby", "mary", "mia", "nick", "nora", "otto", "paul", "pia", "quinn", "race", "reader", "ruth", "stranger"),
    *("tess", "tim", "vera", "will", "wrong"),
)
#: Further users, who are authors of workflows.
AUTHORS = ("rosa", "simon")


def main() -> None:
    """Make everybody of `NAMES` and `AUTHORS`, and print the token and the session of each as JSON.

    They share one hash of the one password: each hash of its own would take half a second.
    """
    import django

    from orchestrator import startup

    startup.prepare()
    django.setup()
    from django.contrib.auth.hashers import make_password
    from django.test import Client

    from access import services
    from access.user import User
    from tests.e2e.processes import PASSWORD

    def session_of(client: Client, user: User) -> str:
        client.force_login(user)
        return client.cookies["sessionid"].value

    password = make_password(PASSWORD)
    users = User.objects.bulk_create(
        [User(username=name, password=password, is_author=name in AUTHORS) for name in (*NAMES, *AUTHORS)]
    )
    made = {user.username: (services.issue_token(user)[1], session_of(Client(), user)) for user in users}
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
