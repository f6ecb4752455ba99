"""Who may: a signed token says who calls, in which roles, and an agent's token says whose members it serves.

The invariants: only RS256 and ES256, each key with its own algorithm and no other; a token without an end is no token;
what a caller may not see does not exist for it (404, never 403), so that ids cannot be tried out.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import Request, Response
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from tenure.edge.problems import Problem
from tenure.settings import Settings

ROLES: Final = frozenset({"member", "agent", "operator", "core", "sre", "service"})
SEES_ALL: Final = frozenset({"operator", "core", "sre", "service"})
AUDIENCE: Final = "tenure"
LEEWAY_S: Final = 30
TOKEN_CHARS_MAX: Final = 16_384
SUBJECT_CHARS_MAX: Final = 128
RSA_BITS_MIN: Final = 2_048
REMEMBERED_MAX: Final = 4_096

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_PEM: Final = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


class KeyFileError(Exception):
    """A key file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `book`: the members an agent serves, None where that means nothing."""

    subject: str
    roles: frozenset[str]
    book: frozenset[str] | None = None

    def sees(self, member_id: str) -> bool:
        """Itself; an agent also its own book; staff and services everyone."""
        if self.roles & SEES_ALL:
            return True
        if "member" in self.roles and member_id == self.subject:
            return True
        return "agent" in self.roles and (member_id == self.subject or member_id in (self.book or ()))

    def must_see(self, member_id: str) -> None:
        """Raises Problem not_found for a member this caller does not see."""
        if not self.sees(member_id):
            raise Problem("not_found")


@dataclass(frozen=True, slots=True)
class TrustedKey:
    kid: str
    algorithm: str
    key: PublicKey


class Gate:
    """Checks tokens against the trusted keys. Tokens that passed are remembered until they end."""

    def __init__(self, keys: Iterable[TrustedKey], *, issuer: str) -> None:
        self.keys = {key.kid: key for key in keys}
        self.issuer = issuer
        self._remembered: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    @classmethod
    def of(cls, settings: Settings) -> "Gate":
        """The gate of these settings; without a key file it lets nobody in. Raises KeyFileError."""
        path = settings.jwt_public_key_file
        return cls(trusted_keys(path) if path else [], issuer=settings.jwt_issuer)

    def caller_of(self, token: str) -> Caller:
        """Raises Problem unauthenticated, whatever the reason: a prober learns nothing."""
        remembered = self._remembered.get(token)
        if remembered and time.time() < remembered[0]:
            return remembered[1]
        self._remembered.pop(token, None)
        claims = self._claims(token)
        caller = _caller(claims)
        self._remembered[token] = (int(claims["exp"]) + LEEWAY_S, caller)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARS_MAX:
            raise unauthenticated()
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise unauthenticated() from None
        for key in self._candidates(header):
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[key.algorithm],
                    audience=AUDIENCE,
                    issuer=self.issuer,
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "sub", "aud", "iss"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError:
                break
        raise unauthenticated()

    def _candidates(self, header: dict[str, Any]) -> list[TrustedKey]:
        """The key the token names, or all of its algorithm when it names none; none for an algorithm not trusted."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if kid is not None:
            named = self.keys.get(kid) if isinstance(kid, str) else None
            return [named] if named and named.algorithm == algorithm else []
        return [key for key in self.keys.values() if key.algorithm == algorithm]


def unauthenticated() -> Problem:
    return Problem("unauthenticated", headers={"WWW-Authenticate": "Bearer"})


def _caller(claims: dict[str, Any]) -> Caller:
    """The caller a verified token names. An unknown role is passed over, so that issuers may add some for others."""
    subject, roles, book = claims["sub"], claims.get("roles"), claims.get("book")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX:
        raise unauthenticated()
    if not _texts(roles) or not (book is None or _texts(book)):
        raise unauthenticated()
    return Caller(subject, ROLES.intersection(roles), None if book is None else frozenset(book))


def _texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class _Bearer(SecurityBase):
    """The dependency behind `caller`: one step for the framework to solve, and named in the API's description."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self.wanted = wanted
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated()
        gate: Gate = request.app.state.gate
        found = gate.caller_of(token.strip())
        if not found.roles & self.wanted:
            raise Problem("forbidden")
        return found


def caller(*roles: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency, `Depends(caller("member", "agent"))`: the caller, who must have one of these roles.

    Raises Problem unauthenticated, forbidden.
    """
    wanted = frozenset(roles)
    assert wanted, "name the roles that may"
    assert wanted <= ROLES, f"unknown roles {sorted(wanted - ROLES)}"
    return _Bearer(wanted)


def gates_of(route: APIRoute) -> Sequence[Callable[[Request], Awaitable[Caller]]]:
    """Who may ask it: dependencies made by `caller`."""
    return [d.call for d in route.dependant.dependencies if isinstance(d.call, _Bearer)]


def gate_first(route: APIRoute) -> None:
    """Ask who calls before the body is read, which the framework would read first.

    A stranger's body costs nothing then, and is answered 401 whatever is wrong with it.
    """
    build = route.get_route_handler
    gates = gates_of(route)

    def guarded() -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = build()

        async def handle(request: Request) -> Response:
            for gate in gates:
                await gate(request)
            return await handler(request)

        return handle

    if gates and route.body_field is not None:
        route.get_route_handler = guarded  # type: ignore[method-assign]


def trusted_keys(path: Path) -> list[TrustedKey]:
    """All public keys in a PEM file: several while keys are rotated. Raises KeyFileError."""
    try:
        blocks = _PEM.findall(path.read_bytes())
        keys = [_trusted(serialization.load_pem_public_key(block)) for block in blocks]
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path.name}: {error}") from None
    if not keys:
        raise KeyFileError(f"{path.name} holds no public key in PEM form")
    return keys


def _trusted(key: object) -> TrustedKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return TrustedKey(_kid(key), "ES256", key)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
        return TrustedKey(_kid(key), "RS256", key)
    raise ValueError(f"a key must be EC P-256 or RSA of at least {RSA_BITS_MIN} bits")


def _kid(key: PublicKey) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:16]


def generate_keypair() -> tuple[bytes, bytes]:
    """A new (private, public) pair in PEM, EC P-256."""
    private = ec.generate_private_key(ec.SECP256R1())
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def mint(
    private_key_pem: bytes,
    subject: str,
    roles: Iterable[str],
    ttl_s: int,
    *,
    book: Iterable[str] | None = None,
    issuer: str = "https://tenure.local",
) -> str:
    """A signed token. Raises ValueError for an unknown role, a subject nobody has, or a key of another kind."""
    if not 0 < len(subject) <= SUBJECT_CHARS_MAX:
        raise ValueError(f"a subject has 1 to {SUBJECT_CHARS_MAX} characters, not {len(subject)}")
    wanted = sorted(set(roles))
    if unknown := set(wanted) - ROLES:
        raise ValueError(f"unknown roles {sorted(unknown)}; there are {sorted(ROLES)}")
    private = serialization.load_pem_private_key(private_key_pem, None)
    if not isinstance(private, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the private key must be EC P-256 or RSA")  # noqa: TRY004 - the value of a file, not a type of ours
    trusted = _trusted(private.public_key())
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": subject,
        "roles": wanted,
        "aud": AUDIENCE,
        "iss": issuer,
        "iat": now,
        "exp": now + ttl_s,
    }
    if book is not None:
        claims["book"] = sorted(book)
    return jwt.encode(claims, private, trusted.algorithm, headers={"kid": trusted.kid})
