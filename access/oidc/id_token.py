"""Verification of ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): signature, issuer, audience, nonce, times."""

from __future__ import annotations

from collections.abc import Mapping
from secrets import compare_digest
from typing import Any

import jwt

from access.oidc.faults import Fault, LoginFailed

#: Algorithms with a public key. The symmetric ones and `none` are not accepted.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_SECONDS = 60  # by which the clocks of the provider and of this server may differ
_KEY_TYPES = {"R": "RSA", "P": "RSA", "E": "EC"}  # by the first letter of the algorithm


def verified_claims(token: str, *, keys: Mapping[str, Any], issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token.

    Args:
        token: The ID token.
        keys: The provider's set of keys.
        issuer: The issuer that the token must name.
        client_id: The client that the token must be for.
        nonce: The value that this log-in sent.

    Raises:
        LoginFailed: the token is not for this log-in, is not signed by the provider, or is out of its time.
    """
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_of(header, keys),
            algorithms=ALGORITHMS,
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        raise LoginFailed(Fault.CLOCK, f"the ID token is out of its time: {error}") from error
    except jwt.PyJWTError as error:
        raise LoginFailed(Fault.REFUSED, f"the ID token is invalid: {error}") from error
    _check_party(claims, client_id)
    sent = claims.get("nonce")
    if not isinstance(sent, str) or not nonce or not compare_digest(sent.encode(errors="replace"), nonce.encode()):
        raise LoginFailed(Fault.REFUSED, "the nonce of the ID token is not the one of this log-in")
    return claims


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Check for whom the token is: with several audiences it must name the authorized party."""
    audience, party = claims["aud"], claims.get("azp")
    if party not in (None, client_id) or (isinstance(audience, list) and len(audience) > 1 and party is None):
        raise LoginFailed(Fault.REFUSED, "the ID token is for another client")


def _key_of(header: Mapping[str, Any], keys: Mapping[str, Any]) -> jwt.PyJWK:
    """Return the key that the token names; without a name, the only key that fits.

    Raises:
        LoginFailed: there is no such key.
    """
    algorithm, name = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise LoginFailed(Fault.REFUSED, f"ID tokens must not be signed with {algorithm}")
    listed = keys.get("keys")
    fitting = [each for each in (listed if isinstance(listed, list) else ()) if _fits(each, algorithm)]
    named = [each for each in fitting if name is None or each.get("kid") == name]
    if not named or (name is None and len(named) > 1):
        raise LoginFailed(Fault.REFUSED, "the provider has no key that fits the ID token")
    return jwt.PyJWK(named[0], algorithm)


def _fits(key: object, algorithm: str) -> bool:
    return (
        isinstance(key, dict)
        and key.get("kty") == ("OKP" if algorithm == "EdDSA" else _KEY_TYPES[algorithm[0]])
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )
