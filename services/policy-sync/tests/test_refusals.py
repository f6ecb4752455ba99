"""What contradicts the domain is refused; what is early, late or repeated is not."""

from datetime import date

import pytest
from policy_sync.rules.customers import MemberState, on_customer
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Event

from .world import Said, World, cancelled, claim, endorsed, issued, paid, renewed

REFUSED = [
    ("it ends before it starts", issued("2024-03-01", "2024-02-01"), "end_before_start"),
    ("it ends on the day it starts", issued("2024-03-01", "2024-03-01", policy_no="P-2"), "end_before_start"),
    ("a renewal overlaps", renewed("2025-02-01", "2026-02-01"), "term_overlaps"),
    ("a history overlaps", issued("2023-01-01", "2024-03-02", term_no=0), "term_overlaps"),
    ("the same term with another price", issued(yuan=366), "contradicts_known_fact"),
    ("the same term with other dates", renewed("2024-03-01", "2025-03-02", term_no=1), "contradicts_known_fact"),
    ("the same instalment with another amount", paid("2024-03-01", yuan=300), "contradicts_known_fact"),
    ("the same term of another customer", issued(member_id="M-2"), "contradicts_known_fact"),
    ("the same term of another line", issued(product_line="motor"), "contradicts_known_fact"),
    ("the same term of an organisation", issued(holder_kind="organisation"), "contradicts_known_fact"),
    ("the same term with a cooling-off period", issued(cooling_off_days=15), "contradicts_known_fact"),
    ("the same term in another region", issued(region="310000"), "contradicts_known_fact"),
    ("the same endorsement with another content", endorsed("2024-06-01", yuan=1), "contradicts_known_fact"),
    ("an endorsed end before the start", endorsed("2024-06-01", end="2024-02-01", no="E-2"), "end_before_start"),
    ("a date no policy has", cancelled("0001-01-01"), "date_out_of_range"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fact", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(what: str, fact, code: str) -> None:
    world = World()
    world.say(issued(region="440300"), paid("2024-03-01"), endorsed("2024-06-01", yuan=35))
    before = dict(world.states)
    with pytest.raises(RefusedError) as refused:
        world.say(fact)
    assert refused.value.code == code
    assert {k: v for k, v in world.states.items() if k in before} == before


def test_a_term_said_again_may_leave_out_what_it_need_not_say() -> None:
    world = World()
    world.say(issued(region="440300", agent_id="A-1"))
    assert world.say(issued(), issued(risk="flat"), renewed("2024-03-01", "2025-03-01", term_no=1)) == []
    assert len(world.states["P-1"].facts) == 1


def test_an_endorsed_end_must_not_reach_into_the_next_term() -> None:
    world = World()
    world.say(issued(), renewed("2025-03-01", "2026-03-01"))
    with pytest.raises(RefusedError, match="term_overlaps"):
        world.say(endorsed("2025-01-01", end="2025-04-01"))


def test_a_void_term_is_in_nobody_s_way() -> None:
    world = World()
    world.say(issued(), cancelled("2024-03-01"))
    world.say(renewed("2024-03-05", "2025-03-05"))
    assert world.policy.term(2).status == "in_force"


def test_a_fact_of_an_unknown_term_of_a_known_policy_waits() -> None:
    world = World()
    world.say(issued())
    assert world.say(paid("2025-03-01", term_no=2)) == []
    assert len(world.states["P-1"].facts) == 2


def test_progress_of_a_claim_nobody_reported_waits_for_the_report() -> None:
    world = World()
    world.say(issued())
    assert world.say(claim(core.ClaimPaid, "2024-06-07", amount_fen=100)) == []
    told = world.say(claim(core.ClaimReported, "2024-06-01"))
    assert [t.status for t in told] == ["reported", "paid"]


BACK_AGAIN = [
    ("closed, reopened, closed within a day", (core.ClaimClosed, core.ClaimReopened, core.ClaimClosed), {}, "closed"),
    ("assessed at 1, 9 and 1 yuan within a day", (core.ClaimAssessed,) * 3, {"amount_fen": (100, 900, 100)}, "assessed"),
    ("estimated at 1, 9 and 1 yuan within a day", (core.ClaimReported,) * 3, {"estimate_fen": (100, 900, 100)}, "reported"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "steps", "amounts", "status"), BACK_AGAIN, ids=[row[0] for row in BACK_AGAIN])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_claim_that_returns_to_what_it_was(what: str, steps, amounts, status: str, order) -> None:
    said = [
        Said(claim(step, "2024-06-01", **{name: each[n] for name, each in amounts.items()}), hour=9 + n, id_=f"{n}")
        for n, step in enumerate(steps)
    ]
    world = World()
    world.say(issued(), claim(core.ClaimReported, "2024-05-01", loss_date=date(2024, 6, 1)))
    world.say(*(said[n] for n in order))
    (one,) = world.policy.claims
    assert (one.status, one.amount_fen) == (status, 100 if amounts else 0)
    assert world.say(*(Said(s.data, hour=9 + n) for n, s in enumerate(said))) == [], "said again under new ids"
    assert len(world.states["P-1"].facts) == 5


def test_a_claim_s_payment_said_again_later_is_one_payment() -> None:
    world = World()
    world.say(issued(), claim(core.ClaimReported, "2024-05-01"))
    world.say(*(Said(claim(core.ClaimPaid, "2024-06-01", amount_fen=100), hour=9 + n) for n in range(2)))
    assert world.policy.claims[0].paid_fen == 100


def customer(data, state: MemberState, at: date = date(2024, 1, 1), id_: str = "e-1"):
    return on_customer(state, Event(id=id_, source="/s", type="t", key="M-1", time=start_of(at), data=data), None)


def test_a_customer_cannot_be_merged_into_itself() -> None:
    with pytest.raises(RefusedError, match="merge_into_itself"):
        customer(
            core.CustomerMerged(member_id="M-1", merged_id="M-1", on=date(2024, 1, 1)), MemberState(member_id="M-1")
        )


def test_a_stale_consent_changes_and_tells_nothing() -> None:
    on, off = (
        core.ConsentChanged(member_id="M-1", on=date(2024, 1, d), marketing=m) for d, m in ((1, True), (2, False))
    )
    first = customer(off, MemberState(member_id="M-1"), date(2024, 1, 2))
    late = customer(on, first.state, date(2024, 1, 1), "e-2")
    assert [e.marketing for e in first.emit] == [False]
    assert late.emit == ()


def test_a_customer_who_moves_and_comes_back_is_registered_where_they_are() -> None:
    state, told = MemberState(member_id="M-1"), []
    for year, region, language in ((2020, "440300", "zh"), (2021, "310000", "en"), (2022, "440300", "zh")):
        moved = core.CustomerRegistered(
            member_id="M-1", registered_on=date(2020, 1, 1), region=region, language=language
        )
        for id_ in ("said", "said again"):
            decided = customer(moved, state, date(year, 1, 1), f"{year} {id_}")
            state, told = decided.state, [*told, *decided.emit]
    assert [(e.region, e.language) for e in told] == [("440300", "zh"), ("310000", "en"), ("440300", "zh")]
    assert len(state.facts) == 3
