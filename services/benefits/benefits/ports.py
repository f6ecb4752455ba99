"""The one outside this service asks: tier-engine, what renewing a policy would bring. The rules of tiers stand there, once.

Its answer or an error within the time-out; nothing is cached and nothing guessed. The service's own token is used where one is
set, else the caller's, whom tier-engine then judges by the same rule as we do.
"""

from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import msgspec
from tenure.settings import Settings

TIMEOUT_S: Final = 3.0
CONNECTIONS_MAX: Final = 32


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """tier-engine's answer: the policy renewed for the same length and premium from its current end, and kept to the new one."""

    member_id: str
    policy_no: str
    renewed_from: date
    renewed_to: date
    tier_now: str
    qualified_at_start: str
    tier_at_start: str
    tier_at_end: str
    insured_years_at_end: int
    annual_premium_fen_at_start: int


class TierEngineUnreachableError(Exception):
    """tier-engine did not answer, or not what was agreed."""


class HttpTierEngine:
    """tier-engine over REST. The client is opened with the first question."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.base_url, self.transport = settings.own_url, transport
        self.token_file = settings.service_token_file
        self._client: httpx.AsyncClient | None = None

    async def renewal(self, member_id: str, policy_no: str, *, authorization: str) -> Renewal | None:
        """None where tier-engine knows no such policy of the member. Raises TierEngineUnreachableError."""
        path = f"/v1/tiers/{quote(member_id, safe='')}/renewal"
        headers = {"Authorization": self._authorization(authorization)}
        try:
            answer = await self._opened().get(path, params={"policy_no": policy_no}, headers=headers)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=Renewal)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise TierEngineUnreachableError(type(error).__name__) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
            self._client = httpx.AsyncClient(
                base_url=self.base_url, timeout=TIMEOUT_S, limits=limits, transport=self.transport
            )
        return self._client

    def _authorization(self, callers: str) -> str:
        """Read anew each time, so that a token can be rotated under a running service."""
        return f"Bearer {_read(self.token_file)}" if self.token_file else callers


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TierEngineUnreachableError(f"no service token: {type(error).__name__}") from error
