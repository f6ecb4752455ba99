"""The mall's decisions as tables that need no programmer."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from mall.commands import AskRefund, LastStepAnswered, MakeQuote, PlaceOrder, StepAnswered, ViewCode
from mall.rules import orders, quotes, steps
from mall.states import ENDING, STEP_OF, Member, Order, Person, Quote, QuoteMade, Shelf
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Event
from tenure.contracts.points import PointsReleased
from tenure.contracts.programme import Programme
from tenure.contracts.tier import Step

DAY = date(2026, 3, 9)
NOON = datetime(2026, 3, 9, 4, tzinfo=UTC)
LATER = NOON + timedelta(seconds=15)


def event(data: Any) -> Event:
    return Event(id="e-1", source="test", type=type(data).__name__, key="M-1", time=NOON, data=data)


def an_order(**fields: Any) -> Order:
    known: dict[str, Any] = {
        "order_id": "O-1",
        "member_id": "M-1",
        "sku": "coffee-voucher-30",
        "kind": "code",
        "quantity": 2,
        "points": 5600,
        "cash_fen": 0,
        "catalogue_version": 1,
        "status": "placed",
        "placed_on": DAY,
        "next_try_at": LATER,
        "give_up_at": NOON + timedelta(seconds=300),
    }
    order = Order(**known | fields)
    return order if order.status in STEP_OF else replace(order, next_try_at=None)


def alone(**fields: Any) -> Person:
    """Somebody of one number, unless `fields` say more."""
    return Person(**{"member_id": "M-1", "goes_by": "M-1", "numbers": ("M-1",)} | fields)


def verdict(rule: Any, *arguments: Any) -> str:
    """The status an order ends in, or why the rule refuses."""
    try:
        return str(rule(*arguments).state.status)
    except RefusedError as refused:
        return refused.code


WAY = [
    # kind     status       step       the answer   -> status      told           units back on the shelf
    ("goods", "placed", "hold", "done", "held", [], 0),
    ("code", "placed", "hold", "done", "supplied", [], 0),  # our own codes: assigned with the same stroke
    ("code", "placed", "hold", "refused", "failed", ["OrderFailed"], 2),
    ("code", "placed", "hold", "unknown", "placed", [], 0),
    ("goods", "held", "supply", "done", "supplied", [], 0),
    ("goods", "held", "supply", "refused", "releasing", [], 0),
    ("goods", "held", "supply", "unknown", "held", [], 0),
    ("code", "supplied", "capture", "done", "fulfilled", ["OrderFulfilled"], 0),
    ("code", "supplied", "capture", "refused", "releasing", [], 0),  # the hold had timed out
    ("code", "supplied", "capture", "unknown", "supplied", [], 0),  # never refunded AND delivered: asked again
    ("goods", "releasing", "release", "done", "failed", ["OrderFailed"], 2),
    ("goods", "releasing", "release", "refused", "failed", ["OrderFailed"], 2),
    ("goods", "releasing", "release", "unknown", "releasing", [], 0),
    ("code", "refunding", "refund", "done", "refunded", ["OrderRefunded"], 2),
    ("code", "refunding", "refund", "refused", "fulfilled", [], 0),
    ("code", "refunding", "refund", "unknown", "refunding", [], 0),
]


@pytest.mark.parametrize(("kind", "status", "step", "outcome", "then", "told", "units_back"), WAY)
def test_an_orders_way(
    rules: Programme, kind: str, status: str, step: str, outcome: str, then: str, told: list[str], units_back: int
) -> None:
    order, shelf, member = (
        an_order(kind=kind, status=status, cash_fen=1_900),
        Shelf(sku="x", stocked=9, available=3),
        None,
    )
    fields: dict[str, Any] = dict(
        order_id="O-1", step=step, outcome=outcome, code="why", on=DAY, at=NOON, next_try_at=LATER
    )
    if (step, outcome) in ENDING:
        data: Any = LastStepAnswered(**fields, member_id="M-1", sku=order.sku)
        decided: Any = steps.on_last_answer((order, shelf, member), event(data), rules)
        after, shelf, _ = decided.state
    else:
        decided = steps.on_answer(order, event(StepAnswered(**fields)), rules)
        after = decided.state
    assert after.status == then
    assert [type(e).__name__ for e in decided.emit] == told
    assert {(e.kind, e.points, e.cash_fen) for e in decided.emit} <= {(kind, order.points, order.cash_fen)}
    assert shelf.available == 3 + units_back
    assert (after.next_try_at is not None) == (then in STEP_OF)


def test_an_answer_to_a_step_that_is_over_changes_nothing(rules: Programme) -> None:
    order = an_order(status="releasing", reason="hold_timed_out")
    late = StepAnswered(order_id="O-1", step="hold", outcome="done", on=DAY, at=NOON, next_try_at=LATER)
    decided = steps.on_answer(order, event(late), rules)
    assert decided.state is order
    assert not decided.emit


SILENCE = [
    # kind     status       the step nobody answers   seconds since placed -> status, reason
    ("code", "placed", "hold", 10, "placed", ""),
    ("code", "placed", "hold", 299, "placed", ""),
    ("code", "placed", "hold", 300, "releasing", "ledger_unavailable"),
    ("goods", "held", "supply", 3000, "held", ""),  # it may be on its way: asked for ever, never refunded AND delivered
    ("code", "supplied", "capture", 3000, "supplied", ""),
    ("code", "releasing", "release", 3000, "releasing", ""),
    ("code", "refunding", "refund", 3000, "refunding", ""),
]


@pytest.mark.parametrize(("kind", "status", "step", "seconds_since_placed", "then", "reason"), SILENCE)
def test_only_a_hold_nobody_confirmed_is_given_up_after_five_minutes(
    rules: Programme, kind: str, status: str, step: Any, seconds_since_placed: int, then: str, reason: str
) -> None:
    at = NOON + timedelta(seconds=seconds_since_placed)
    again = at + timedelta(seconds=1)
    unknown = StepAnswered(order_id="O-1", step=step, outcome="unknown", on=DAY, at=at, next_try_at=again)
    order = an_order(kind=kind, status=status, attempts=4)
    after = steps.on_answer(order, event(unknown), rules).state
    assert after is not None
    assert (after.status, after.reason) == (then, reason)
    waits = then == status
    assert (after.attempts, after.next_try_at) == ((5, again) if waits else (0, at))


TIMED_OUT = [
    # status       why the points came back   whose    -> status
    ("placed", "timed_out", "M-1", "releasing"),
    ("held", "timed_out", "M-1", "releasing"),
    ("supplied", "timed_out", "M-1", "releasing"),
    ("supplied", "requested", "M-1", "supplied"),
    ("supplied", "timed_out", "M-2", "supplied"),
    ("fulfilled", "timed_out", "M-1", "fulfilled"),
    ("failed", "timed_out", "M-1", "failed"),
]


@pytest.mark.parametrize(("status", "reason", "member", "then"), TIMED_OUT)
def test_a_hold_that_timed_out_gives_up_an_unfinished_order(
    rules: Programme, status: str, reason: Any, member: str, then: str
) -> None:
    told = PointsReleased(member_id=member, wallet="points", amount=5600, effective=DAY, hold_id="O-1", reason=reason)
    after = steps.on_points_released(an_order(status=status), event(told), rules).state
    assert after is not None
    assert after.status == then


QUOTES = [
    # sku                 quantity  tier       taken this period                       -> points or refusal
    ("coffee-voucher-30", 2, "basic", {}, 5600),
    ("coffee-voucher-30", 1, "none", {}, "tier_too_low"),  # no tier yet: nothing was ever insured
    ("dental-cleaning", 1, "silver", {}, "tier_too_low"),
    ("dental-cleaning", 1, "gold", {}, 6000),
    ("dental-cleaning", 1, "diamond", {}, 6000),
    ("dental-cleaning", 1, "gold", {"dental-cleaning 2026": 1}, "limit_reached"),
    ("dental-cleaning", 1, "gold", {"dental-cleaning 2025": 1}, 6000),  # last year's
    ("dental-cleaning", 1, "gold", {"dental-cleaning 2026-01": 1}, "limit_reached"),
    ("dental-cleaning", 1, "gold", {"dental-cleaning 2025-12": 1, "car-wash 2026-01": 1}, 6000),
    ("dental-cleaning", 2, "gold", {}, "limit_reached"),
    ("smoke-alarm", 2, "basic", {"smoke-alarm 2019-02": 1, "smoke-alarm ever": 2}, "limit_reached"),  # 4 ever
    ("smoke-alarm", 1, "basic", {"smoke-alarm 2019-02": 1, "smoke-alarm ever": 2}, 3900),
    ("car-wash", 1, "basic", {"car-wash 2026-03": 2}, "limit_reached"),
    ("car-wash", 2, "basic", {"car-wash 2026-02": 2}, 6000),
    ("premium-discount", 1, "diamond", {}, "unknown_sku"),  # points never pay premium: there is no such item
]


@pytest.mark.parametrize(("sku", "quantity", "tier", "taken", "expected"), QUOTES)
def test_quotes(
    rules: Programme, sku: str, quantity: int, tier: str, taken: dict[str, int], expected: int | str
) -> None:
    steps_ = (Step(effective=date(2020, 1, 1), tier=tier, cause="first_cover"),)
    member = Member(member_id="M-1", timeline=steps_, taken=taken)
    asked = MakeQuote(member_id="M-1", quote_id="Q-1", sku=sku, quantity=quantity, on=DAY, valid_until=LATER)
    if isinstance(expected, str):
        with pytest.raises(RefusedError) as refused:
            quotes.on_quote((member, alone()), event(asked), rules)
        assert refused.value.code == expected
    else:
        (row,) = quotes.on_quote((member, alone()), event(asked), rules).rows
        assert isinstance(row, QuoteMade)
        assert row.quote.points == expected


@pytest.mark.parametrize(
    ("sku", "quantity", "taken", "detail"),
    [
        ("smoke-alarm", 5, {}, "at most 4 per member, 0 taken so far"),  # asks for more at once, has had none
        ("dental-cleaning", 1, {"dental-cleaning 2026-01": 1}, "at most 1 per member and year, 1 taken so far"),
    ],
)
def test_a_limit_says_what_it_is_and_what_was_taken(
    rules: Programme, sku: str, quantity: int, taken: dict[str, int], detail: str
) -> None:
    steps_ = (Step(effective=date(2020, 1, 1), tier="gold", cause="first_cover"),)
    asked = MakeQuote(member_id="M-1", quote_id="Q-1", sku=sku, quantity=quantity, on=DAY, valid_until=LATER)
    with pytest.raises(RefusedError) as refused:
        quotes.on_quote((Member(member_id="M-1", timeline=steps_, taken=taken), alone()), event(asked), rules)
    assert refused.value.detail == detail


def test_a_campaign_price_holds_from_its_first_day_until_before_its_end(rules: Programme) -> None:
    item = rules.catalogue.newest.by_sku["video-month"]
    days = [date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 30), date(2026, 12, 1)]
    assert [item.points_on(day) for day in days] == [1500, 1200, 1200, 1500]


def test_the_tier_of_the_day_counts_not_one_to_come() -> None:
    member = Member(
        member_id="M-1",
        timeline=(
            Step(effective=date(2024, 5, 1), tier="basic", cause="first_cover"),
            Step(effective=date(2026, 5, 1), tier="silver", cause="upgrade"),
        ),
    )
    days = [date(2024, 4, 30), date(2024, 5, 1), date(2026, 4, 30), date(2026, 5, 1)]
    assert [member.tier_on(day) for day in days] == ["none", "basic", "basic", "silver"]


@pytest.mark.parametrize(
    ("available", "quantity", "seconds_after_quote", "expected"),
    [
        (3, 2, 0, 1),
        (2, 2, 599, 0),
        (1, 2, 0, "out_of_stock"),
        (0, 1, 0, "out_of_stock"),
        (3, 1, 600, "quote_expired"),
    ],
)
def test_placing(
    rules: Programme, new_quote: Any, available: int, quantity: int, seconds_after_quote: int, expected: int | str
) -> None:
    quote: Quote = new_quote(quantity=quantity, valid_until=NOON + timedelta(seconds=600))
    at = NOON + timedelta(seconds=seconds_after_quote)
    asked = PlaceOrder(order_id="O-1", quote=quote, on=DAY, at=at, next_try_at=LATER, give_up_at=LATER)
    states = (Member(member_id="M-1"), Shelf(sku=quote.sku, stocked=5, available=available), None, alone())
    if isinstance(expected, str):
        with pytest.raises(RefusedError) as refused:
            orders.on_order(states, event(asked), rules)
        assert refused.value.code == expected
    else:
        decided = orders.on_order(states, event(asked), rules)
        _, shelf, order, _ = decided.state
        assert shelf is not None
        assert order is not None
        assert (shelf.available, order.status) == (expected, "placed")
        assert [type(e).__name__ for e in decided.emit] == ["OrderPlaced"]


AFTER_SALES = [
    # kind     status        -> refusal, or the status
    ("code", "fulfilled", "refunding"),
    ("code", "closed", "code_viewed"),
    ("code", "refunding", "refunding"),
    ("code", "refunded", "refunded"),
    ("code", "failed", "nothing_to_refund"),
    ("code", "placed", "order_in_progress"),
    ("goods", "fulfilled", "refunding"),
    ("goods", "shipped", "already_shipped"),
    ("goods", "closed", "already_delivered"),
    ("service", "closed", "already_delivered"),
]


@pytest.mark.parametrize(("kind", "status", "expected"), AFTER_SALES)
def test_after_sales(rules: Programme, kind: str, status: str, expected: str) -> None:
    order = an_order(kind=kind, status=status)
    asked = AskRefund(order_id="O-1", reason="changed_mind", on=DAY, next_try_at=LATER)
    assert verdict(orders.on_refund, order, event(asked), rules) == expected


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("code", "fulfilled", "closed"),
        ("code", "closed", "closed"),
        ("code", "supplied", "code_not_ready"),  # assigned, but the points are not captured yet
        ("code", "refunding", "code_gone"),
        ("code", "refunded", "code_gone"),
        ("goods", "fulfilled", "not_a_code"),
    ],
)
def test_seeing_a_code(rules: Programme, kind: str, status: str, expected: str) -> None:
    order = an_order(kind=kind, status=status, codes=("AAA", "BBB"))
    assert verdict(orders.on_view, order, event(ViewCode(order_id="O-1", on=DAY)), rules) == expected


def test_the_same_codes_are_shown_again(rules: Programme) -> None:
    order = an_order(status="closed", codes=("AAA", "BBB"))
    assert orders.on_view(order, event(ViewCode(order_id="O-1", on=DAY)), rules).reply == ("AAA", "BBB")
