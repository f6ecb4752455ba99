"""What a policy's facts make of it (DOMAIN 1 to 12, 16): a table an insurance person can read."""

import pytest
from policy_sync.rules.canonical import copy_of
from tenure.contracts import core, policy

from .world import (
    MEMBER,
    YUAN,
    Said,
    World,
    cancelled,
    claim,
    covers_of,
    days_of,
    endorsed,
    folded,
    holder_changed,
    issued,
    lapsed,
    names,
    paid,
    refunded,
    reinstated,
    renewed,
    rescinded,
    reversed_,
)

YEAR = "2024-03-01..2025-03-01"

TERM = [
    # what happened                                  facts                                             status       cover                    yuan
    ("sold", [issued()], "in_force", [YEAR], 365),
    ("paid", [issued(), paid("2024-03-01")], "in_force", [YEAR], 365),
    ("cover added by endorsement", [issued(), endorsed("2024-06-01", yuan=100)], "in_force", [YEAR], 465),
    ("cover reduced", [issued(), endorsed("2024-06-01", yuan=-65)], "in_force", [YEAR], 300),
    ("end moved", [issued(), endorsed("2024-06-01", end="2025-06-01")], "in_force", ["2024-03-01..2025-06-01"], 365),
    ("part refunded", [issued(), refunded("2024-06-01", 65)], "in_force", [YEAR], 300),
    ("more refunded than paid", [issued(), refunded("2024-06-01", 900)], "in_force", [YEAR], 0),
    ("cancelled mid-term, earned part kept", [issued(), cancelled("2024-09-01"), refunded("2024-09-01", 181)], "cancelled", ["2024-03-01..2024-09-01"], 184),
    ("cancelled on the first day", [issued(), cancelled("2024-03-01")], "void", [], 0),
    ("cancelled before cover began", [issued(), Said(cancelled("2024-02-20"), "2024-02-25")], "void", [], 0),
    ("cancelled in the cooling-off period", [issued(cooling_off_days=15), cancelled("2024-03-10", "cooling_off")], "void", [], 0),
    ("cancelled flat", [issued(), cancelled("2024-05-01", "flat")], "void", [], 0),
    ("cancelled on or after its end", [issued(), cancelled("2025-03-01")], "in_force", [YEAR], 365),
    ("cancelled and taken back", [issued(), cancelled("2024-09-01"), Said(reversed_("2024-09-01"), "2024-09-10")], "in_force", [YEAR], 365),
    ("cancelled, taken back, cancelled again", [issued(), cancelled("2024-09-01"), Said(reversed_("2024-09-01"), "2024-09-10"), Said(cancelled("2024-09-01"), "2024-09-20")], "cancelled", ["2024-03-01..2024-09-01"], 365),
    ("cancelled and taken back: so is its refund", [issued(), refunded("2024-05-01", 15), cancelled("2024-09-01"), Said(refunded("2024-09-03", 175), "2024-09-03"), Said(reversed_("2024-09-01"), "2024-09-10")], "in_force", [YEAR], 350),
    ("lapsed", [issued(), lapsed("2024-06-01")], "lapsed", ["2024-03-01..2024-06-01"], 365),
    ("lapsed, arrears paid: no gap", [issued(), lapsed("2024-06-01"), reinstated("2024-07-01", bridged=True)], "in_force", [YEAR], 365),
    ("lapsed, resumed later: a gap", [issued(), lapsed("2024-06-01"), reinstated("2024-07-01", bridged=False)], "in_force", ["2024-03-01..2024-06-01", "2024-07-01..2025-03-01"], 365),
    ("lapsed twice", [issued(), lapsed("2024-06-01"), reinstated("2024-07-01", bridged=False), lapsed("2024-10-01")], "lapsed", ["2024-03-01..2024-06-01", "2024-07-01..2024-10-01"], 365),
    ("rescinded", [issued(), rescinded("2024-08-01")], "void", [], 0),
    ("lapsed, then rescinded", [issued(), lapsed("2024-06-01"), rescinded("2024-08-01")], "void", [], 0),
    ("lapsed, then cancelled flat", [issued(), lapsed("2024-06-01"), cancelled("2024-08-01", "flat")], "void", [], 0),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "status", "covers", "yuan"), TERM, ids=[row[0] for row in TERM])
def test_a_term(what: str, facts: list, status: str, covers: list[str], yuan: int) -> None:
    whole = folded(*facts)
    assert (whole.term(1).status, covers_of(whole), whole.term(1).premium_fen) == (status, covers, yuan * YUAN)


NEXT = renewed("2025-03-01", "2026-03-01")

LATER_TERM = [
    ("cancelled before it began", [issued(), Said(NEXT, "2025-02-10"), cancelled("2025-02-20")], "void"),
    ("sold again after the cancellation", [issued(), cancelled("2025-02-20"), Said(NEXT, "2025-02-25")], "in_force"),
    ("the cancellation was taken back", [issued(), Said(NEXT, "2025-02-10"), cancelled("2025-02-20"), Said(reversed_("2025-02-20"), "2025-02-24")], "in_force"),
    ("the first term is void", [issued(), Said(NEXT, "2024-03-05"), cancelled("2024-03-10", "cooling_off")], "void"),
    ("never taken up", [issued(), NEXT, cancelled("2025-03-01", "not_taken_up", term_no=2)], "void"),
    ("rescinded", [issued(), NEXT, rescinded("2025-04-01")], "void"),
    ("renewed after the rescission was recorded", [issued(), rescinded("2025-01-01"), NEXT], "void"),
    ("cancelled itself", [issued(), NEXT, cancelled("2025-06-01", term_no=2)], "cancelled"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "status"), LATER_TERM, ids=[row[0] for row in LATER_TERM])
def test_a_later_term(what: str, facts: list, status: str) -> None:
    assert folded(*facts).term(2).status == status


def test_the_first_term_stays_when_only_the_renewal_was_not_taken_up() -> None:
    whole = folded(issued(), NEXT, cancelled("2025-03-01", "not_taken_up", term_no=2))
    assert covers_of(whole) == [YEAR]


def test_issued_today_effective_next_month_counts_from_inception_and_cools_off_from_the_sale() -> None:
    whole = folded(Said(issued("2024-04-01", "2025-04-01", cooling_off_days=15), "2024-03-01"))
    assert whole.inception.isoformat() == "2024-04-01"
    assert str(whole.term(1).cooling_off_end) == "2024-03-16"


def test_history_before_go_live_moves_the_inception() -> None:
    history = issued("2019-03-01", "2024-03-01", term_no=0, yuan=0)
    assert str(folded(issued(), Said(history, backfill=True)).inception) == "2019-03-01"


def test_a_renewal_that_says_whose_it_is_opens_a_policy_whose_history_was_never_imported() -> None:
    whole = folded(renewed("2024-03-01", "2025-03-01", term_no=7, member_id=MEMBER, product_line="home"))
    assert (whole.holder_on(whole.inception).member_id, covers_of(whole, 7)) == (MEMBER, [YEAR])


def test_years_follow_the_person_when_the_holder_changes() -> None:
    whole = folded(
        issued(), renewed("2025-03-01", "2026-03-01"), Said(holder_changed("2024-09-01", "M-2"), "2025-04-01")
    )
    former, new = (copy_of(whole, whole.term(1), m) for m in ("M-1", "M-2"))
    assert [str(d) for p in former.covers for d in p] == ["2024-03-01", "2024-09-01"]
    assert [str(d) for p in new.covers for d in p] == ["2024-09-01", "2025-03-01"]
    assert copy_of(whole, whole.term(2), "M-1").covers == ()
    assert copy_of(whole, whole.term(2), "M-2").covers == whole.term(2).covers


def test_an_organisation_is_no_natural_person_until_a_person_takes_over() -> None:
    whole = folded(issued(holder_kind="organisation"), holder_changed("2024-09-01", "M-2"))
    assert [copy_of(whole, whole.term(1), m).natural_person for m in ("M-1", "M-2")] == [False, True]


REPORTED = claim(core.ClaimReported, "2024-06-01", estimate_fen=900_00)

CLAIM = [
    ("reported", [], "reported", 900, True),
    ("assessed", [claim(core.ClaimAssessed, "2024-06-05", amount_fen=500_00)], "assessed", 500, True),
    ("approved for less", [claim(core.ClaimAssessed, "2024-06-05", amount_fen=500_00), claim(core.ClaimApproved, "2024-06-06", amount_fen=450_00)], "approved", 450, True),
    ("paid and closed", [claim(core.ClaimPaid, "2024-06-07", amount_fen=450_00), claim(core.ClaimClosed, "2024-06-08")], "closed", 450, True),
    ("declined", [claim(core.ClaimDeclined, "2024-06-07")], "declined", 900, False),
    ("declined, then closed", [claim(core.ClaimDeclined, "2024-06-07"), claim(core.ClaimClosed, "2024-06-08")], "closed", 900, False),
    ("paid, reopened, the rest declined", [claim(core.ClaimPaid, "2024-06-07", amount_fen=450_00), claim(core.ClaimReopened, "2024-07-01"), claim(core.ClaimDeclined, "2024-07-09")], "declined", 450, True),
    ("withdrawn", [claim(core.ClaimWithdrawn, "2024-06-07")], "withdrawn", 900, False),
    ("closed with nothing paid", [claim(core.ClaimPaid, "2024-06-07", amount_fen=0), claim(core.ClaimClosed, "2024-06-08")], "closed", 0, False),
    ("reopened after it was declined", [claim(core.ClaimDeclined, "2024-06-07"), claim(core.ClaimReopened, "2024-07-01")], "reopened", 900, True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "steps", "status", "yuan", "counts"), CLAIM, ids=[row[0] for row in CLAIM])
def test_a_claim(what: str, steps: list, status: str, yuan: int, counts: bool) -> None:
    (one,) = folded(issued(), REPORTED, *steps).claims
    assert (one.status, one.amount_fen, one.counts) == (status, yuan * YUAN, counts)


def test_a_fact_tells_the_whole_term_after_it_with_a_growing_version() -> None:
    world = World()
    told = world.say(issued(), paid("2024-03-01"), endorsed("2024-06-01", yuan=35), cancelled("2024-09-01"))
    assert names(told) == ["member.enrolled", "policy.issued", "premium.paid", "policy.endorsed", "policy.cancelled"]
    assert [(t.term.version, t.term.premium_fen, t.term.status) for t in told[1:]] == [
        (1, 365_00, "in_force"),
        (2, 365_00, "in_force"),
        (3, 400_00, "in_force"),
        (4, 201_64, "cancelled"),  # the price of its 184 days of 365, though no refund is known yet
    ]


def test_what_comes_before_its_policy_waits_and_is_told_in_order() -> None:
    world = World()
    assert world.say(cancelled("2024-03-10", "cooling_off"), paid("2024-03-01"), REPORTED) == []
    told = world.say(issued())
    assert names(told) == ["member.enrolled", "policy.issued", "premium.paid", "policy.cancelled", "claim.changed"]
    assert told[-2].term.status == "void"


def test_a_cancellation_takes_later_terms_with_it_and_a_reversal_brings_them_back() -> None:
    world = World()
    world.say(issued(), Said(NEXT, "2025-02-10"))
    fell = world.say(cancelled("2025-02-20"))
    assert [(t.term.term_no, t.term.status, t.kind) for t in fell] == [
        (1, "cancelled", "mid_term"),
        (2, "void", "flat"),
    ]
    back = world.say(Said(reversed_("2025-02-20"), "2025-02-24"))
    assert [(t.term.term_no, t.term.status) for t in back] == [(1, "in_force"), (2, "in_force"), (2, "in_force")]
    assert names(back)[-1] == "policy.renewed"


def test_a_rescission_voids_and_tells_every_term() -> None:
    world = World()
    world.say(issued(), NEXT)
    told = [t for t in world.say(rescinded("2025-04-01")) if isinstance(t, policy.PolicyRescinded)]
    assert [(t.term.term_no, t.term.status, t.term.premium_fen) for t in told] == [(1, "void", 0), (2, "void", 0)]


def test_a_rescission_is_told_also_of_a_policy_that_never_was() -> None:
    """It changes no cover; but the ledger freezes the account of whoever deceived."""
    world = World()
    world.say(issued())
    world.say(cancelled("2024-05-01", "flat"))
    told = world.say(rescinded("2024-08-01"))
    assert (names(told), told[0].member_id) == (["policy.rescinded"], MEMBER)


def test_a_change_of_holder_is_told_to_both() -> None:
    world = World()
    world.say(issued())
    told = world.say(holder_changed("2024-09-01", "M-2"))
    assert names(told) == ["member.enrolled", "policy.holder_changed", "policy.holder_changed"]
    assert [t.member_id for t in told[1:]] == ["M-1", "M-2"]
    assert {(t.former_member_id, t.new_member_id) for t in told[1:]} == {("M-1", "M-2")}


def test_a_renewal_that_was_void_is_told_as_it_is_when_it_stands_again() -> None:
    """The second term is heard of while the third is cancelled: no gap is left when the cancellation is taken back."""
    world = World()
    world.say(issued(), Said(renewed("2026-03-01", "2027-03-01", term_no=3), "2026-02-10"))
    world.say(Said(cancelled("2026-03-01", "flat", term_no=3), "2026-03-05"))
    world.say(Said(renewed("2025-03-01", "2026-03-01"), "2025-02-10"))
    world.say(Said(reversed_("2026-03-01", term_no=3), "2026-03-09"))
    third = [t for t in world.told if isinstance(t, policy.PolicyRenewed) and t.term.term_no == 3]
    assert [(t.gap_days, t.days_early) for t in third] == [(365, -346), (0, 19)]


@pytest.mark.parametrize(
    ("renewed_on", "start", "gap", "early"),
    [("2025-02-10", "2025-03-01", 0, 19), ("2025-03-01", "2025-03-01", 0, 0), ("2025-03-20", "2025-03-20", 19, -19)],
)
def test_a_renewal_tells_its_gap_and_how_early_it_was(renewed_on: str, start: str, gap: int, early: int) -> None:
    world = World()
    world.say(issued())
    told = world.say(Said(renewed(start, "2026-03-01"), renewed_on))
    (one,) = (t for t in told if isinstance(t, policy.PolicyRenewed))
    assert (one.gap_days, one.days_early, str(one.renewed_on)) == (gap, early, renewed_on)


def test_a_rewrite_continues_the_chain() -> None:
    world = World()
    world.say(issued("2020-03-01", "2024-03-01", policy_no="P-0"))
    world.say(issued(previous_policy_no="P-0"))
    assert str(world.policy.inception) == "2020-03-01"


def test_a_member_is_enrolled_once_whatever_it_buys() -> None:
    world = World()
    world.say(issued(), issued("2024-06-01", "2025-06-01", policy_no="P-2"))
    assert names(world.told).count("member.enrolled") == 1


def test_an_earlier_policy_that_comes_later_enrols_its_member_from_its_own_day() -> None:
    world = World()
    world.say(issued("2024-06-01", "2025-06-01", policy_no="P-2"), issued())
    assert days_of(world.told, policy.MemberEnrolled) == ["2024-06-01", "2024-03-01"]


def test_who_takes_over_a_policy_is_a_member_whether_or_not_its_terms_are_known_yet() -> None:
    world = World()
    world.say(holder_changed("2024-09-01", "M-2"), issued())
    assert {t.member_id: str(t.effective) for t in world.told if isinstance(t, policy.MemberEnrolled)} == {
        "M-1": "2024-03-01",
        "M-2": "2024-09-01",
    }


def test_a_renewal_that_waited_belongs_to_who_held_the_policy_by_then() -> None:
    world = World()
    told = world.say(NEXT, holder_changed("2024-09-01", "M-2"), issued())
    assert [t.member_id for t in told if isinstance(t, policy.PolicyRenewed)] == ["M-2"]


def test_a_term_that_comes_late_closes_the_gap_before_the_next_one() -> None:
    world = World()
    world.say(issued(), Said(renewed("2026-03-01", "2027-03-01", term_no=3), "2026-02-20"))
    told = world.say(Said(NEXT, "2025-02-10"))
    assert [(t.term.term_no, t.gap_days, t.days_early) for t in told if isinstance(t, policy.PolicyRenewed)] == [
        (2, 0, 19),
        (3, 0, 9),
    ]


def test_a_refund_that_is_small_or_not_known_yet_makes_the_cover_that_was_no_dearer() -> None:
    earned = [
        folded(issued(), cancelled("2024-03-31"), *refunds).term(1).earned_fen
        for refunds in ([], [refunded("2024-04-05", 300)], [refunded("2024-04-05", 335)], [refunded("2024-04-05", 365)])
    ]
    assert earned == [30_00, 30_00, 30_00, 0], "30 days at CNY 1.00, whatever else the insurer keeps"


def test_the_same_fact_under_a_new_id_has_no_effect() -> None:
    world = World()
    world.say(issued(), paid("2024-03-01"), endorsed("2024-06-01", yuan=35), cancelled("2024-09-01"))
    before = world.states["P-1"]
    assert world.say(issued(), paid("2024-03-01"), endorsed("2024-06-01", yuan=35), cancelled("2024-09-01")) == []
    assert world.states["P-1"] is before


@pytest.mark.parametrize(
    ("what", "day", "hears"),
    [
        ("while the first holder had it", "2024-06-01", {MEMBER: 100, "M-2": 0}),
        ("on the day the second took it over", "2024-09-01", {MEMBER: 0, "M-2": 100}),
        ("afterwards", "2024-10-01", {MEMBER: 0, "M-2": 100}),
    ],
)  # fmt: skip
def test_cover_that_is_added_is_added_for_whoever_holds_it_that_day(what: str, day: str, hears: dict[str, int]) -> None:
    """All holders hear how the term stands; a premium's difference is one member's, or two would be rewarded for it."""
    world = World()
    world.say(issued(), holder_changed("2024-09-01", "M-2"))
    told = [one for one in world.say(endorsed(day, yuan=100)) if isinstance(one, policy.PolicyEndorsed)]
    assert {one.member_id: one.premium_delta_fen // YUAN for one in told} == hears, what
    assert {one.term.premium_fen for one in told} == {465 * YUAN}
