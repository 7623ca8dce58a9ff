"""A real provider of OpenID Connect, django-oauth-toolkit: `python -m tests.e2e.server.openid_provider`.

It demands PKCE. Its people log in with a password and approve each client. `POST /people/<name>/` changes a person, as
an administrator of the provider does.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

CLIENT_ID, CLIENT_SECRET = "scriptorium", "a-Secret-of-the-client"
PASSWORD = "a-long-Passphrase"
_PEOPLE: dict[str, dict[str, Any]] = {}  # claims by user name
_LOGIN = (
    '<form method=post>{% csrf_token %}<input name="username"><input name="password"><button>Log in</button></form>'
)


def settings_of(folder: Path, url: str) -> dict[str, Any]:
    """Return the settings of the provider."""
    return {
        "ALLOWED_HOSTS": ["*"],
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "provider.sqlite3"}},
        "INSTALLED_APPS": [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")]
        + ["oauth2_provider"],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "ROOT_URLCONF": __name__,
        "SECRET_KEY": "of-the-provider",
        "SESSION_COOKIE_NAME": "provider_session",  # browsers share cookies among the ports of a machine
        "CSRF_COOKIE_NAME": "provider_csrf",
        "LOGIN_URL": "/login/",
        "USE_TZ": True,
        "OAUTH2_PROVIDER": {
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": url,
            "OIDC_RSA_PRIVATE_KEY": _new_key(),
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
            "SCOPES": {name: name for name in ("openid", "profile", "email", "groups")},
        },
    }


def _new_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def __getattr__(name: str) -> Any:
    """Return what needs Django's settings: the URL map, and the validator, which adds claims."""
    if name == "Validator":
        from oauth2_provider.oauth2_validators import OAuth2Validator

        class Validator(OAuth2Validator):
            oidc_claim_scope = {**OAuth2Validator.oidc_claim_scope, "groups": "groups"}

            def get_additional_claims(self, request: Any) -> dict[str, Any]:
                return _PEOPLE[request.user.username]

        return Validator
    if name == "urlpatterns":
        from django.urls import include, path
        from oauth2_provider import urls

        return [
            path("people/<str:name>/", _change_person),
            path("login/", _login),
            path("", include((urls.base_urlpatterns + urls.oidc_urlpatterns, "oauth2_provider"))),
        ]
    raise AttributeError(name)


def _change_person(request: Any, name: str) -> Any:
    from django.contrib.auth.models import User
    from django.http import HttpResponse

    if not User.objects.filter(username=name).exists():
        User.objects.create_user(name, password=PASSWORD)
    _PEOPLE[name] = json.loads(request.body)
    return HttpResponse(status=204)


_change_person.csrf_exempt = True  # type: ignore[attr-defined]


def _login(request: Any) -> Any:
    from django.contrib.auth import authenticate, login
    from django.http import HttpResponse, HttpResponseRedirect
    from django.template import engines

    if request.method == "POST":
        user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
        assert user is not None
        login(request, user)
        return HttpResponseRedirect(request.GET["next"])
    return HttpResponse(engines["django"].from_string(_LOGIN).render({}, request))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("url", help="its issuer, which may lead through a proxy")
    parser.add_argument("callback")
    given = parser.parse_args()

    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    settings.configure(**settings_of(given.folder, given.url))
    django.setup()
    call_command("migrate", verbosity=0)
    from oauth2_provider.models import Application

    Application.objects.create(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        hash_client_secret=False,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=given.callback,
        algorithm=Application.RS256_ALGORITHM,
        name="Scriptorium",
    )
    make_server("127.0.0.1", given.port, get_wsgi_application(), _Server, _Quiet).serve_forever()


if __name__ == "__main__":
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    from tests.e2e.server import openid_provider

    openid_provider.main()  # by its name, which the settings use
