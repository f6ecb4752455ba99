"""The demo's stories: what the cast of `examples/home-cast` must have come to, asked over the public REST API.

Each story is a question an insurance person would ask, and the facts that answer it. The demo prints them, the tests assert them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from tenure_local.api import Api
from tenure_local.home import Home


@dataclass(frozen=True)
class Story:
    """What is told, whether it came true, and what was seen."""

    name: str
    told: str
    true: bool
    seen: str


class Asking:
    """The API in every role the stories need."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.operator = Api(home, "op-1", "operator")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.close()

    def member(self, member_id: str) -> Api:
        return Api(self.home, member_id, "member")

    def agent(self, agent_id: str, *book: str) -> Api:
        return Api(self.home, agent_id, "agent", book=list(book))

    def timeline(self, member_id: str) -> list[tuple[str, str]]:
        """(effective, tier) of every step."""
        return [(s["effective"], s["tier"]) for s in self.operator.get(f"/v1/tiers/{member_id}")["timeline"]]

    def entries(self, member_id: str) -> list[dict[str, Any]]:
        """The whole statement of a member, newest first."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.operator.get(f"/v1/wallets/{member_id}/statement", limit=200, cursor=cursor)
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def messages(self, member_id: str) -> list[dict[str, Any]]:
        with self.member(member_id) as api:
            found: list[dict[str, Any]] = api.get("/v1/messages", limit=100, lang="en")["items"]
        return found


def silver_on_the_second_anniversary(ask: Asking) -> Story:
    seen = ask.timeline("H-01")
    return _story("H-01", "silver on the second anniversary, without applying", ("2018-06-01", "silver") in seen, seen)


def silver_at_once_over_300(ask: Asking) -> Story:
    seen = ask.timeline("H-02")
    return _story("H-02", "premium 300.01 is over 300.00: silver at once", seen == [("2018-03-01", "silver")], seen)


def not_silver_at_300(ask: Asking) -> Story:
    seen = ask.timeline("H-03")
    return _story("H-03", "premium 300.00 is not over 300.00: basic", seen == [("2018-03-01", "basic")], seen)


def gold_claim_needs_no_survey(ask: Asking) -> Story:
    with ask.agent("A-01", "H-04") as api:
        seen = api.get("/v1/claims/C-H-04/entitlements")
    return _story(
        "H-04", "a gold member's claim of exactly 5,000.00 needs no survey", seen["on_site_survey_waived"], seen
    )


def cooling_off_takes_points_back(ask: Asking) -> Story:
    wallet = ask.operator.get("/v1/wallets/H-05")["wallets"]["points"]
    kinds = [(e["kind"], e["amount"]) for e in ask.entries("H-05")]
    back = any(kind.startswith("revers") for kind, _ in kinds) and wallet["available"] == wallet["pending"] == 0
    return _story("H-05", "a cancellation in the cooling-off period takes its points back", back, kinds)


def reminded_with_a_preview(ask: Asking) -> Story:
    reminders = [
        m for m in ask.messages("H-06") if m["template"] == "policy_expiring" and m["sent_at"][:7] == "2018-12"
    ]
    with ask.member("H-06") as api:
        preview = api.get("/v1/members/H-06/renewal-preview", policy_no="P-H-06")
    seen = [m["sent_at"] for m in reminders], preview["renewal"]["tier_at_end"], len(preview["adds_at_end"])
    true = seen[:2] == (["2018-12-20T00:00:00Z"], "silver") and preview["adds_at_end"]
    return _story("H-06", "is reminded one month before expiry at 08:00, and shown what renewing unlocks", true, seen)


def thirty_days_of_steps(ask: Asking) -> Story:
    steps = [e for e in ask.entries("H-07") if e["rule"] in ("steps", "steps_streak") and e["wallet"] == "points"]
    total = sum(e["amount"] for e in steps)
    return _story(
        "H-07", "30 days of 10,000 steps: 30 x 10 points and one streak of 500", total == 30 * 10 + 500, total
    )


def agent_has_own_points(ask: Asking) -> Story:
    wallet = ask.operator.get("/v1/wallets/A-01")["wallets"]["agent"]
    return _story("A-01", "an agent's services are rewarded in the agent's own wallet", wallet["available"] > 0, wallet)


def referral_is_rewarded(ask: Asking) -> Story:
    seen = [
        (e["amount"], e["effective"]) for e in ask.entries("H-08") if (e["rule"], e["kind"]) == ("referral", "grant")
    ]
    return _story(
        "H-09", "who referred H-09 gets 500 points once the cooling-off ends", seen == [(500, "2018-07-09")], seen
    )


def pending_until_cooling_off_ends(ask: Asking) -> Story:
    wallet = ask.operator.get("/v1/wallets/H-10")["wallets"]["points"]
    true = (wallet["pending"], wallet["available"]) == (450, 0)
    return _story("H-10", "450 points for CNY 450.00 are pending until the cooling-off ends", true, wallet)


def home_safety_check_used(ask: Asking) -> Story:
    with ask.member("H-04") as api:
        grants = [g for g in api.get("/v1/benefits/H-04", lang="en")["benefits"] if g["benefit"] == "home_safety"]
    seen = [(g["used"], g["quota"]) for g in grants]
    return _story(
        "H-04", "has used one of the two home-safety checks of a gold member's year", seen == [(1, 2)], grants
    )


def redeemed_in_the_mall(ask: Asking) -> Story:
    with ask.member("H-08") as api:
        orders = api.get("/v1/orders")["items"]
    done = [o for o in orders if o["status"] in ("fulfilled", "closed")]
    return _story("H-08", "redeems points for a code in the mall", len(done) == 1, orders)


STORIES: Final[tuple[Callable[[Asking], Story], ...]] = (
    silver_on_the_second_anniversary,
    silver_at_once_over_300,
    not_silver_at_300,
    gold_claim_needs_no_survey,
    cooling_off_takes_points_back,
    reminded_with_a_preview,
    thirty_days_of_steps,
    agent_has_own_points,
    referral_is_rewarded,
    pending_until_cooling_off_ends,
    home_safety_check_used,
    redeemed_in_the_mall,
)


def redeem(ask: Asking) -> dict[str, Any]:
    """H-08 looks at the mall, asks for a price, orders a code, and looks at it. Returns the order."""
    with ask.member("H-08") as api:
        items = [i for i in api.get("/v1/catalogue", lang="en")["items"] if i["kind"] == "code" and i["available"]]
        item = min(items, key=lambda i: int(i["points"]))
        quote = api.post("/v1/quotes", {"sku": item["sku"], "quantity": 1}, key="demo-quote")
        order: dict[str, Any] = api.post("/v1/orders", {"quote_id": quote["quote_id"]}, key="demo-order")
        api.get(f"/v1/orders/{order['order_id']}/code")
    return order


def use_a_benefit(ask: Asking) -> dict[str, Any]:
    """H-04 has the home-safety check done. Returns the grant after its use."""
    with ask.member("H-04") as api:
        grants = api.get("/v1/benefits/H-04", lang="en")["benefits"]
        grant = next(g for g in grants if g["benefit"] == "home_safety")
        used: dict[str, Any] = api.post(
            f"/v1/benefits/{grant['grant_id']}/use", {"reference": "VISIT-1"}, key="demo-use"
        )
    return used


def _story(who: str, told: str, true: object, seen: object) -> Story:
    return Story(name=f"{who}: {told}", told=told, true=bool(true), seen=str(seen)[:400])
