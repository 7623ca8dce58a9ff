from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from access.oidc.faults import Fault, LoginFailed, sentence_of
from access.oidc.groups import ScopeName, given_to, rules_of
from access.oidc.id_token import verified_claims
from access.oidc.identity import identity_of, joined_claims, numbered_names

ISSUER, CLIENT, NONCE = "https://id.example.org", "us", "n-1"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "keys": [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "one", "use": "sig"},
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "kid": "two", "alg": "ES256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "three"},
        "no key",
    ]
}
HAMLET = ScopeName(type="project", key="hamlet")


def token(key: Any = RSA, *, algorithm: str = "RS256", kid: str | None = "one", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "s-1", "nonce": NONCE, "iat": now, "exp": now + 300}
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


def verify(text: str) -> dict[str, Any]:
    return verified_claims(text, keys=KEYS, issuer=ISSUER, client_id=CLIENT, nonce=NONCE)


def test_a_token_of_the_provider_is_accepted() -> None:
    now = int(time.time())
    for text in (
        token(),
        token(kid=None),
        token(EC, algorithm="ES256", kid="two"),
        token(algorithm="PS256"),
        token(aud=[CLIENT, "other"], azp=CLIENT),
        token(exp=now - 30, iat=now - 400),  # clocks differ a little
        token(iat=now + 30),
    ):
        assert verify(text)["sub"] == "s-1"


def test_any_other_token_is_refused() -> None:
    now = int(time.time())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong = {
        Fault.CLOCK: [token(exp=now - 3600), token(iat=now + 3600), token(nbf=now + 3600)],
        Fault.REFUSED: [
            token(nonce="n-2"),
            token(nonce=None),
            token(nonce=7),
            token(iss="https://elsewhere.example"),
            token(iss=ISSUER + "/"),
            token(aud="other"),
            token(aud=[CLIENT, "other"]),
            token(azp="other"),
            token(sub=None),
            token(iat=None),
            token(exp=None),
            token(other),
            token(kid="unknown"),
            token("c2VjcmV0" * 8, algorithm="HS256", kid="three"),
            token(None, algorithm="none"),
            token(EC, algorithm="ES256", kid="one"),
            token()[:-8],
            "no token",
            "",
        ],
    }
    for fault, texts in wrong.items():
        for text in texts:
            with pytest.raises(LoginFailed) as failure:
                verify(text)
            assert failure.value.fault == fault, failure.value.detail


def test_claims_become_an_identity() -> None:
    def named(**claims: Any) -> Any:
        return identity_of({"sub": "s-1"} | claims, issuer=ISSUER, groups_claim="groups")

    full = named(preferred_username="ada", given_name="Ada", family_name="Byron", email="a@b.org", email_verified=True)
    assert (full.user_name, full.first_name, full.last_name, full.email) == ("ada", "Ada", "Byron", "a@b.org")
    assert full.is_email_verified
    assert not named(email="a@b.org").is_email_verified
    assert not named(email="a@b.org", email_verified="false").is_email_verified
    assert not named(email="no address", email_verified=True).is_email_verified
    wishes = {
        "Ada Byron": "Ada-Byron",
        "<script>": "script",
        "a\u200bb": "user",
        "ﬁn": "fin",
        "x" * 200: "x" * 150,
        "": "user",
    }
    for wish, name in wishes.items():
        assert named(preferred_username=wish).user_name == name
    assert named(preferred_username=7, nickname="nick").user_name == "nick"
    assert named(email="ada@b.org").user_name == "ada"
    assert named(given_name="A\0da").first_name == ""
    assert len({name for name in numbered_names("x" * 150) if len(name) <= 150}) == 49
    for groups, found in ((["a", 7, "b"], {"a", "b"}), ("a", {"a"}), (None, set()), ({"a": 1}, set())):
        assert named(groups=groups).groups == found
    for claims in ({"sub": ""}, {"sub": 7}, {"sub": "s" * 256}, {"sub": "a\0"}):
        with pytest.raises(LoginFailed, match="subject"):
            named(**claims)
    with pytest.raises(LoginFailed, match="another place"):
        named(_claim_names={"groups": "src1"})


def test_groups_give_the_highest_role_and_rights() -> None:
    entries = (
        "watchers=viewer@project/hamlet",
        "editors=reviewer@project/hamlet",
        "a%2Cb=operator@project/x%2Fy",
        "admins=staff",
    )
    rules = rules_of(entries)
    assert given_to({"watchers", "editors", "sailors"}, rules).roles == {HAMLET: "reviewer"}
    given = given_to({"a,b", "admins"}, rules)
    assert given.roles == {ScopeName(type="project", key="x/y"): "operator"}
    assert given.rights == {"staff"}
    for entry in (
        "x",
        "=staff",
        "a=owner@project/x",
        "a=king",
        "a=viewer@project",
        "a=viewer@/x",
        "a=viewer@project/%E2%80%8B",
    ):
        with pytest.raises(ValueError, match=r".+"):
            rules_of((entry,))


def test_each_fault_has_a_sentence() -> None:
    assert all(sentence_of(fault).endswith(".") for fault in Fault)
    assert sentence_of("<b>") == sentence_of("") == ""


def test_a_nonce_that_is_no_text_or_empty_is_refused() -> None:
    for sent, nonce in (("\ud800", NONCE), ("", "")):
        with pytest.raises(LoginFailed):
            verified_claims(token(nonce=sent), keys=KEYS, issuer=ISSUER, client_id=CLIENT, nonce=nonce)


def test_an_address_and_whether_it_is_verified_have_one_source() -> None:
    verified = {"sub": "s-1", "email": "a@example.org", "email_verified": True}
    assert joined_claims(verified, {"sub": "s-1", "email": "b@example.org"}) == {"sub": "s-1", "email": "b@example.org"}
    assert joined_claims(verified, {"sub": "s-1", "name": "A"}) == {**verified, "name": "A"}
    said = [
        identity_of({"sub": "s", "email": "a@example.org", "email_verified": each}, issuer=ISSUER, groups_claim="g")
        for each in (True, "true", False, "false", None)
    ]
    assert [(each.is_email_verified, each.denies_email) for each in said] == [(True, False)] * 2 + [
        (False, True)
    ] * 2 + [(False, False)]


def test_an_equals_sign_in_a_key_is_encoded() -> None:
    [rule] = rules_of(("g=viewer@project/a%3Db",))
    assert rule.scope == ScopeName(type="project", key="a=b")
