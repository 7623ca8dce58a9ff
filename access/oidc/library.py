"""The parts of django-allauth that single sign-on uses: state, PKCE, the redirect, the exchange of the code.

Of the library no page is routed, and no row is stored: `accounts` finds the user.
"""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialToken
from allauth.socialaccount.providers.base.constants import AuthError, AuthProcess
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse

from access.oidc.accounts import sign_on
from access.oidc.faults import Fault, LoginFailed
from access.oidc.groups import given_to, rules_of
from access.oidc.id_token import verified_claims
from access.oidc.identity import identity_of, joined_claims
from access.oidc.provider_session import DISCOVERY, ProviderSession, get_object
from access.services import store_login

_ID = "oidc"
_LOGIN_SECONDS = 600  # for which the library keeps the state of a log-in
_BACKEND = settings.AUTHENTICATION_BACKENDS[0]


class SocialAdapter(DefaultSocialAccountAdapter):
    """The library's hooks: requests with our limits, and errors in our own words."""

    def get_requests_session(self) -> ProviderSession:
        """Return a session with limits."""
        return ProviderSession()

    def on_authentication_error(  # noqa: PLR0917 - the library's signature
        self,
        request: HttpRequest,
        provider: Any,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> NoReturn:
        """Turn an error of the library into ours, before the library shows a page of its own.

        Raises:
            LoginFailed: always.
        """
        if error == AuthError.CANCELLED:
            raise LoginFailed(Fault.DENIED, "the provider says access_denied")
        if exception is not None:  # its text may hold what the provider sent
            raise LoginFailed(Fault.REFUSED, "the provider does not exchange the code") from exception
        if "state" not in (extra_context or {}):
            raise LoginFailed(Fault.STATE, "the state is unknown, used or too old")
        said = request.GET.get("error", "nothing")
        fault = Fault.UNREACHABLE if said in {"server_error", "temporarily_unavailable"} else Fault.REFUSED
        raise LoginFailed(fault, f"the provider says {said[:100]!r}")


class Provider(OpenIDConnectProvider):
    """The provider that the settings name, always asked with PKCE and a nonce."""

    def get_pkce_params(self) -> dict[str, str]:
        """Return the challenge and the verifier."""
        self.app.settings["oauth_pkce_enabled"] = True
        params: dict[str, str] = super().get_pkce_params()
        return params

    def get_scope(self) -> list[str]:
        """Return the scopes to ask for."""
        return ["openid", *(each for each in settings.OIDC_SCOPES if each != "openid")]

    def get_oauth2_adapter(self, request: HttpRequest) -> Adapter:
        """Return our adapter."""
        return Adapter(request)

    def begin(self, request: HttpRequest, *, next_url: str) -> HttpResponse:
        """Lead to the provider. The session keeps state, verifier and nonce, and is gone ten minutes later."""
        if not request.user.is_authenticated:
            request.session.set_expiry(_LOGIN_SECONDS)
        nonce = secrets.token_urlsafe(32)
        response: HttpResponse = self.redirect(
            request, process=AuthProcess.LOGIN, next_url=next_url, auth_params={"nonce": nonce}, nonce=nonce
        )
        return response


class Adapter(OpenIDConnectOAuth2Adapter):
    """The steps of a log-in after the provider has sent the person back."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, _ID)
        self.state: dict[str, Any] = {}  # of the log-in, when the callback has found it

    @property
    def wanted(self) -> str:
        """The page that the person asked for, an address of this server; empty if the person asked for none."""
        return str(self.state.get("next") or "")

    def get_provider(self) -> Provider:
        """Return the provider of the settings; the library would ask its tables."""
        app = SocialApp(
            provider="openid_connect",
            provider_id=_ID,
            name=settings.OIDC_NAME,
            client_id=settings.OIDC_CLIENT_ID,
            secret=settings.OIDC_CLIENT_SECRET,
            settings={},
        )
        return Provider(self.request, app=app)

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the discovery document, which was checked."""
        return DISCOVERY.get()

    @property
    def basic_auth(self) -> bool:
        """Return whether the client's secret goes into the header; it does unless the provider reads it in the form."""
        methods = self.openid_config.get("token_endpoint_auth_methods_supported")
        return not isinstance(methods, list) or "client_secret_post" not in methods

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Return the address to which the provider sends the person back."""
        return request.build_absolute_uri(reverse("oidc:callback"))

    def parse_token(self, data: dict[str, Any]) -> SocialToken:
        """Return the access token, which is used once and not stored."""
        return SocialToken(token=str(data["access_token"]))

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> NoReturn:
        """Log the person in, and lead to the page that the person asked for.

        Raises:
            LoginFailed: the claims are not valid, or the user is deactivated.
            ImmediateHttpResponse: the log-in succeeded. The library would go on and store accounts of its own.
        """
        claims = self._claims(token.token, kwargs["response"].get("id_token"))
        identity = identity_of(claims, issuer=settings.OIDC_ISSUER, groups_claim=settings.OIDC_GROUPS_CLAIM)
        given = given_to(identity.groups, rules_of(tuple(settings.OIDC_GROUPS)))
        user = sign_on(identity=identity, given=given)
        login(request, user, backend=_BACKEND)
        store_login(request)
        raise ImmediateHttpResponse(HttpResponseRedirect(self.wanted or resolve_url(settings.LOGIN_REDIRECT_URL)))

    def _claims(self, access_token: str, id_token: object) -> dict[str, Any]:
        """Return the claims of the ID token, and those of the user information about the same person."""
        if not isinstance(id_token, str):
            raise LoginFailed(Fault.REFUSED, "the provider sent no ID token")
        claims = verified_claims(
            id_token,
            keys=get_object(self.openid_config["jwks_uri"]),
            issuer=settings.OIDC_ISSUER,
            client_id=settings.OIDC_CLIENT_ID,
            nonce=str(self.state.get("nonce", "")),
        )
        address = self.openid_config.get("userinfo_endpoint")
        if not isinstance(address, str):
            return claims
        about = get_object(address, Authorization=f"Bearer {access_token}")
        if about.get("sub") != claims["sub"]:
            raise LoginFailed(Fault.REFUSED, "the user information is about another person")
        return joined_claims(claims, about)


class CallbackView(OAuth2CallbackView):
    """The library's callback, which tells the adapter the state of the log-in."""

    def _get_state(self, request: HttpRequest, provider: Provider) -> tuple[dict[str, Any] | None, HttpResponse | None]:
        state, response = super()._get_state(request, provider)
        self.adapter.state = state or {}
        return state, response


def finish(request: HttpRequest, adapter: Adapter) -> HttpResponse:
    """Log in the person whom the provider has sent back, and lead to the page that the person asked for.

    Raises:
        LoginFailed: the log-in failed.
    """
    response: HttpResponse = CallbackView.adapter_view(adapter)(request)
    return response
