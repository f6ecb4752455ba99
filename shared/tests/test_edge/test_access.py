"""Who may: every kind of bad token is answered alike, a wrong role is refused, and foreign members do not exist."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tenure.edge.access import (
    REMEMBERED_MAX,
    Caller,
    Gate,
    KeyFileError,
    caller,
    generate_keypair,
    mint,
    trusted_keys,
)
from tenure.edge.problems import Problem
from tenure.testing import Under

ISSUER = "https://tenure.local"


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"sub": "M1", "roles": ["member"], "aud": "tenure", "iss": ISSUER, "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in whole.items() if value is not ...}


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def forged(header: dict[str, Any], payload: dict[str, Any], *, hmac_key: bytes | None = None) -> str:
    signed = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(payload).encode())
    signature = hmac.new(hmac_key, signed, hashlib.sha256).digest() if hmac_key else b""
    return (signed + b"." + b64(signature)).decode()


@pytest.fixture
def private(keys: tuple[Path, Path]) -> bytes:
    return keys[0].read_bytes()


def signed(private: bytes, **changes: Any) -> str:
    return jwt.encode(claims(**changes), private, "ES256")


def bad_tokens(private: bytes, public: bytes) -> dict[str, str | None]:
    stranger, _ = generate_keypair()
    good = signed(private)
    head, body, signature = good.split(".")
    our_kid = jwt.get_unverified_header(mint(private, "M1", ["member"], 60))["kid"]
    return {
        "no header at all": None,
        "another scheme": "Basic TTE6cHc=",
        "an empty token": "Bearer ",
        "not a token": "Bearer hello",
        "two parts": f"Bearer {head}.{body}",
        "expired an hour ago": "Bearer " + signed(private, exp=int(time.time()) - 3600),
        "expired beyond the leeway": "Bearer " + signed(private, exp=int(time.time()) - 31),
        "not yet valid": "Bearer " + signed(private, nbf=int(time.time()) + 3600),
        "without an end": "Bearer " + signed(private, exp=...),
        "for another audience": "Bearer " + signed(private, aud="bank"),
        "without an audience": "Bearer " + signed(private, aud=...),
        "of another issuer": "Bearer " + signed(private, iss="https://elsewhere"),
        "without an issuer": "Bearer " + signed(private, iss=...),
        "without a subject": "Bearer " + signed(private, sub=...),
        "with an empty subject": "Bearer " + signed(private, sub=""),
        "with roles that are no list": "Bearer " + signed(private, roles="operator"),
        "without roles": "Bearer " + signed(private, roles=...),
        "with a book that is no list": "Bearer " + signed(private, book="M1"),
        "signed by a stranger": "Bearer " + signed(stranger),
        "signed by a stranger under our key's name": "Bearer "
        + jwt.encode(claims(), stranger, "ES256", headers={"kid": our_kid}),
        "naming a key we do not have": "Bearer " + jwt.encode(claims(), private, "ES256", headers={"kid": "other"}),
        "with another body under the old signature": "Bearer "
        + ".".join([head, b64(json.dumps(claims(roles=["operator"])).encode()).decode(), signature]),
        "with algorithm none": "Bearer " + forged({"alg": "none", "typ": "JWT"}, claims()),
        "with algorithm NONE": "Bearer " + forged({"alg": "NONE"}, claims()),
        "HS256 over our public key": "Bearer " + forged({"alg": "HS256"}, claims(), hmac_key=public),
        "HS256 that says ES256": "Bearer " + forged({"alg": "ES256"}, claims(), hmac_key=public),
        "HS256 naming our key": "Bearer " + forged({"alg": "HS256", "kid": our_kid}, claims(), hmac_key=public),
        "RS256 over our EC key": "Bearer " + forged({"alg": "RS256", "kid": our_kid}, claims(), hmac_key=public),
        "a kid that is no text": "Bearer " + forged({"alg": "ES256", "kid": 5}, claims()),
        "an alg that is a list": "Bearer " + forged({"alg": ["ES256"]}, claims()),
        "far too long": "Bearer " + "a" * 20_000,
    }


CASES = list(bad_tokens(*generate_keypair()))


@pytest.mark.parametrize("kind", CASES)
async def test_a_bad_token_is_answered_401(offline: Under, keys: tuple[Path, Path], kind: str) -> None:
    header = bad_tokens(keys[0].read_bytes(), keys[1].read_bytes())[kind]
    answer = await offline.http.get("/v1/counters/M1", headers={"Authorization": header} if header is not None else {})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_clock_half_a_minute_off_is_borne(under: Under, private: bytes) -> None:
    token = signed(private, exp=int(time.time()) - 5)
    answer = await under.http.get("/v1/counters/M1", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["code"] == "counter_unknown"


@pytest.mark.parametrize(
    ("path", "roles", "subject", "book", "status", "code"),
    [
        ("/v1/counters", ["operator"], "op", None, 200, None),
        ("/v1/counters", ["member"], "M1", None, 403, "forbidden"),
        ("/v1/counters", ["agent"], "A1", ["M1"], 403, "forbidden"),
        ("/v1/counters", [], "M1", None, 403, "forbidden"),
        ("/v1/counters/M1", ["member"], "M1", None, 404, "counter_unknown"),
        ("/v1/counters/M2", ["member"], "M1", None, 404, "not_found"),
        ("/v1/counters/M1", ["agent"], "A1", ["M1"], 404, "counter_unknown"),
        ("/v1/counters/M2", ["agent"], "A1", ["M1"], 404, "not_found"),
        ("/v1/counters/M1", ["agent"], "A1", None, 404, "not_found"),
        ("/v1/counters/M2", ["operator"], "op", None, 404, "counter_unknown"),
        ("/v1/counters/M2", ["member", "operator"], "M1", None, 404, "counter_unknown"),
        ("/v1/counters/M1", ["sre"], "s", None, 403, "forbidden"),
    ],
)
async def test_who_may_see_what(
    under: Under, path: str, roles: list[str], subject: str, book: list[str] | None, status: int, code: str | None
) -> None:
    answer = await under.http.get(path, headers=under.auth(*roles, subject=subject, book=book))
    assert (answer.status_code, answer.json().get("code")) == (status, code)


async def test_a_foreign_member_s_write_changes_nothing(under: Under, totals: Any) -> None:
    answer = await under.http.post(
        "/v1/counters/M2/add", json={"amount": 5}, headers=under.auth("member", subject="M1")
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await totals() == {}
    assert await under.pool.fetchval("SELECT count(*) FROM idempotency") == 0


@pytest.mark.parametrize(
    ("who", "sees", "sees_not"),
    [
        (Caller("M1", frozenset({"member"})), ["M1"], ["M2", ""]),
        (Caller("A1", frozenset({"agent"}), frozenset({"M1"})), ["M1", "A1"], ["M2"]),
        (Caller("A1", frozenset({"agent"})), ["A1"], ["M1"]),
        (Caller("A1", frozenset({"member"}), frozenset({"M1"})), ["A1"], ["M1"]),
        (Caller("o", frozenset({"operator"})), ["M1", "M2"], []),
        (Caller("c", frozenset({"core"})), ["M1"], []),
        (Caller("mall", frozenset({"service"})), ["M1"], []),
        (Caller("M1", frozenset()), [], ["M1"]),
    ],
)
def test_a_caller_sees(who: Caller, sees: list[str], sees_not: list[str]) -> None:
    assert [m for m in (*sees, *sees_not) if who.sees(m)] == sees
    for member in sees_not:
        with pytest.raises(Problem, match="not_found"):
            who.must_see(member)


def rsa_pair(bits: int = 2048) -> tuple[bytes, bytes]:
    private = rsa.generate_private_key(65537, bits)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        private.public_key().public_bytes(serialization.Encoding.PEM, spki),
    )


def test_old_and_new_keys_are_both_good_while_they_are_rotated(tmp_path: Path) -> None:
    old, new = rsa_pair(), generate_keypair()
    (tmp_path / "public.pem").write_bytes(old[1] + b"\n# the new one\n" + new[1])
    gate = Gate(trusted_keys(tmp_path / "public.pem"), issuer=ISSUER)
    for private, _ in (old, new):
        assert gate.caller_of(mint(private, "M1", ["member"], 60)) == Caller("M1", frozenset({"member"}))
    without_kid = jwt.encode(claims(), old[0], "RS256")
    assert gate.caller_of(without_kid).subject == "M1"


def test_a_role_of_others_is_passed_over(private: bytes, keys: tuple[Path, Path]) -> None:
    gate = Gate(trusted_keys(keys[1]), issuer=ISSUER)
    assert gate.caller_of(signed(private, roles=["member", "god"])).roles == {"member"}


def test_a_remembered_token_still_ends(
    private: bytes, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(trusted_keys(keys[1]), issuer=ISSUER)
    token = mint(private, "M1", ["member"], 600)
    now = time.time()
    gate.caller_of(token)
    gate.caller_of(token)
    monkeypatch.setattr(time, "time", lambda: now + 700)
    monkeypatch.setattr(gate, "keys", {})
    with pytest.raises(Problem, match="unauthenticated"):
        gate.caller_of(token)


def test_only_so_many_tokens_are_remembered(private: bytes, keys: tuple[Path, Path]) -> None:
    gate = Gate(trusted_keys(keys[1]), issuer=ISSUER)
    gate._remembered.update({str(n): (0.0, Caller("x", frozenset())) for n in range(REMEMBERED_MAX)})
    gate.caller_of(mint(private, "M1", ["member"], 60))
    assert len(gate._remembered) == REMEMBERED_MAX


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public.pem"),
        (generate_keypair()[0], "public.pem"),
        (rsa_pair(1024)[1], "at least 2048"),
        (
            ec.generate_private_key(ec.SECP384R1())
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "P-256",
        ),
    ],
    ids=["empty", "broken", "a private key", "a short RSA key", "another curve"],
)
def test_a_key_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "public.pem").write_bytes(content)
    with pytest.raises(KeyFileError, match=says):
        trusted_keys(tmp_path / "public.pem")


def test_a_key_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"public.pem"):
        trusted_keys(tmp_path / "public.pem")


def test_nobody_mints_or_asks_for_unknown_roles(private: bytes) -> None:
    with pytest.raises(ValueError, match="unknown roles"):
        mint(private, "M1", ["god"], 60)
    with pytest.raises(AssertionError, match="unknown roles"):
        caller("god")
    with pytest.raises(AssertionError, match="name the roles"):
        caller()
