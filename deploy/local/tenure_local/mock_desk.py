"""Sends the mock core's day to a running platform, and looks whether it came out as each case says."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from tenure_local.api import Api, ApiError
from tenure_local.drained import Targets
from tenure_local.home import Home
from tenure_local.mock_core import Case
from tenure_local.moving import let_days_come
from tenure_local.playback import sending


async def send(home: Home, cases: list[Case], on: date) -> int:
    """Publish every record as a core would, then let the day come. Returns how many records."""
    records = [record for case in cases for record in case.records]
    targets = Targets(home.targets)
    async with sending(home.settings()) as producer:
        targets.add(await producer.send(records))
    targets.save()
    await let_days_come(home, on)
    return len(records)


def looked_up(home: Home, cases: list[Case], on: date) -> Iterator[tuple[Case, list[str]]]:
    """Each case with what the platform answers otherwise than it must."""
    with Api(home) as api:
        for case in cases:
            yield case, list(differences(api, case, on))


def differences(api: Any, case: Case, on: date) -> Iterator[str]:
    """What of a case is not as expected. `api` has `get(path, *names, **params)`."""
    for what, expected in case.expects.items():
        for name, value in expected.items():
            try:
                seen = _ASK[what](api, name, on)
            except ApiError as error:
                seen = error.code
            if seen != value:
                yield f"{what} of {name}: {seen}, not {value}"


def _terms(api: Any, policy_no: str, _: date) -> Any:
    return [[t["term_no"], t["status"], t["premium_fen"]] for t in api.get("/v1/policies/{}", policy_no)["terms"]]


def _points(api: Any, member: str, _: date) -> Any:
    balance = api.get("/v1/wallets/{}", member)["wallets"].get("points", {"available": 0, "pending": 0})
    return balance["available"] + balance["pending"]


def _parked(api: Any, policy_no: str, _: date) -> Any:
    rows = api.get("/v1/parked/policy-sync", key=policy_no)["items"]
    return rows[0]["code"] if rows else "not parked"


def _claim(api: Any, claim_no: str, _: date) -> Any:
    found = api.get("/v1/claims/{}", claim_no)
    return [found["status"], found["amount_fen"]]


_ASK: Final[Mapping[str, Any]] = {
    "terms": _terms,
    "points": _points,
    "days": lambda api, member, on: api.get("/v1/tiers/{}", member, as_of=on.isoformat())["insured_days"],
    "tier": lambda api, member, on: api.get("/v1/tiers/{}", member, as_of=on.isoformat())["tier"],
    "inception": lambda api, policy_no, _: api.get("/v1/policies/{}", policy_no)["inception"],
    "holder": lambda api, policy_no, _: api.get("/v1/policies/{}", policy_no)["member_id"],
    "parked": _parked,
    "claim": _claim,
}
