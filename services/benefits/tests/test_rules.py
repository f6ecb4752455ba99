"""The rules as an insurance person reads them: which tier has what, how often, and what a claim is entitled to."""

from datetime import date
from itertools import count

import pytest
from benefits import rules
from benefits.commands import ReleaseUse, UseBenefit
from benefits.rules.plan import Life as Plan
from benefits.rules.settle import standing
from benefits.service import SERVICE
from benefits.state import State
from benefits.verify import CHECKS
from tenure.calendar import start_of
from tenure.contracts import policy, tier
from tenure.contracts.benefit import (
    BenefitExpired,
    BenefitGranted,
    BenefitReleased,
    BenefitRevoked,
    BenefitUsed,
    ClaimAdvised,
    CoverageExtensionRequested,
    SafetyReportReady,
)
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.tier import Step

M = "M-1"
D = date.fromisoformat
BASIC = {"claims_fast_track", "safety_handbook", "claim_progress_push", "home_safety"}
SILVER = BASIC | {
    "water_leak_inspection",
    "appliance_repair_discount",
    "burst_pipe_liability",
    "appliance_cleaning_coupon",
}
GOLD = SILVER | {"no_on_site_survey", "fire_safety_kit"}
DIAMOND = GOLD | {"claims_adviser", "pet_liability", "family_accident_discount"}
SEASONAL = {"seasonal_patrol"}
_ids = count()


def term(start="2020-01-01", end="2030-01-01", *, no="P-1", line="home", version=1, covers=None, region="440300"):
    given = ((D(start), D(end)),) if covers is None else covers
    return policy.Term(
        policy_no=no,
        term_no=1,
        member_id=M,
        product_line=line,
        start=D(start),
        end=D(end),
        written_end=D(end),
        premium_fen=20_000,
        status="in_force",
        version=version,
        covers=given,
        inception=D(start),
        region=region,
    )


def issued(**kw):
    t = term(**kw)
    return policy.PolicyIssued(member_id=M, term=t, effective=t.start)


def tiers(*steps, member=M):
    """A tier.changed with the whole timeline: `tiers(("2020-01-01", "basic"), ...)`."""
    timeline = tuple(Step(effective=D(day), tier=name, cause="upgrade") for day, name in steps)
    last = timeline[-1] if timeline else Step(effective=D("2020-01-01"), tier="none", cause="upgrade")
    return tier.TierChanged(
        member_id=member,
        from_tier="none",
        to_tier=last.tier,
        effective=last.effective,
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=("P-1",),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


def claim(amount, *, no="C-1", status="reported", on="2021-06-01", loss="2021-05-30", policy_no="P-1"):
    return policy.ClaimChanged(
        member_id=M,
        claim_no=no,
        policy_no=policy_no,
        product_line="home",
        loss_date=D(loss),
        status=status,
        amount_fen=amount,
        effective=D(on),
    )


def use(code, on, *, period, reference="", today=None, **kw):
    return UseBenefit(
        member_id=M,
        grant_id=f"{M}.{code}.{period}",
        reference=reference,
        on=D(on),
        today=D(today or on),
        **kw,
    )


class Life:
    """One member lived through events with the pure rules: the state, and everything told."""

    def __init__(self, programme):
        self.programme, self.state, self.told = programme, None, []

    def then(self, data, at=None, *, backfill=False):
        day = D(at) if at else getattr(data, "effective", None) or data.today
        event = Event(
            id=f"e{next(_ids)}", source="/t", type="t", key=M, time=start_of(day), data=data, backfill=backfill
        )
        decided = SERVICE.decide(self.state, event, self.programme)
        self.state = decided.state
        self.told += decided.emit
        assert all(check(self.state, self.programme) for check in CHECKS.values())
        return decided

    def day(self, day):
        while self.state.due_on is not None and self.state.due_on <= D(day):
            before = self.state.due_on
            decided = rules.on_day(self.state, self.event(DayReached(key=M, day=D(day))), self.programme)
            self.state, told = decided.state, decided.emit
            self.told += told
            assert self.state.due_on is None or self.state.due_on > before
        return self

    def event(self, data):
        return Event(id="d", source="/t", type="t", key=M, time=start_of(data.day), data=data)

    def take(self, *types):
        told, self.told = self.told, []
        return [e for e in told if isinstance(e, types)]

    def standing(self):
        return {g.benefit for g in self.state.grants.values() if g.status in ("active", "requested", "used")}

    def grant(self, code, period=None):
        ever = standing(Plan(self.state, self.programme, self.state.lived_to))
        found = [g for g in ever.values() if g.benefit == code and (period is None or g.id.endswith(period))]
        return found[-1]


@pytest.fixture
def life(rules):
    return Life(rules)


@pytest.mark.parametrize(
    ("tier_name", "benefits"),
    [("basic", BASIC), ("silver", SILVER), ("gold", GOLD), ("diamond", DIAMOND), ("none", set())],
)
def test_each_tier_has_the_benefits_of_the_programme_and_those_of_every_tier_below(life, tier_name, benefits):
    life.then(issued())
    life.then(tiers(("2020-01-01", tier_name)))
    assert life.standing() == benefits


def test_every_benefit_begins_with_a_tier_of_the_programme_and_every_override_names_one(rules):
    names = {t.name for t in rules.tiers.newest.tiers}
    for benefit in rules.benefits.newest.benefits:
        assert {benefit.from_tier, *benefit.quota_by_tier} <= names


@pytest.mark.parametrize(("tier_name", "checks"), [("basic", 1), ("silver", 2), ("gold", 2), ("diamond", 2)])
def test_home_safety_checks_a_year(life, tier_name, checks):
    life.then(tiers(("2020-01-01", tier_name)))
    assert life.grant("home_safety").quota == checks


@pytest.mark.parametrize(
    ("tier_name", "amount_fen", "survey_waived"),
    [
        ("gold", 500_000, True),  # 5,000.00: 以下 includes
        ("gold", 500_001, False),  # 5,000.01
        ("gold", 1, True),
        ("gold", 0, False),  # no amount yet: nothing can be promised
        ("diamond", 500_000, True),
        ("silver", 500_000, False),
        ("basic", 500_000, False),
    ],
)
def test_a_claim_of_at_most_5000_yuan_needs_no_on_site_survey_from_gold_on(life, tier_name, amount_fen, survey_waived):
    life.then(issued())
    life.then(tiers(("2020-01-01", tier_name)))
    life.then(claim(amount_fen))
    [advised] = life.take(ClaimAdvised)
    assert advised.fast_track  # for all members
    assert advised.on_site_survey_waived is survey_waived


@pytest.mark.parametrize(
    ("timeline", "loss", "reported", "fast_track", "waived"),
    [
        # the tier is that of the day of the report
        ([("2020-01-01", "basic"), ("2021-06-01", "gold")], "2021-05-30", "2021-06-01", True, True),
        ([("2020-01-01", "basic"), ("2021-06-02", "gold")], "2021-05-30", "2021-06-01", True, False),
        ([("2020-01-01", "gold"), ("2021-05-31", "silver")], "2021-05-30", "2021-06-01", True, False),
        # cover is that of the day of the loss: the term is [2020-01-01, 2030-01-01)
        ([("2019-01-01", "gold")], "2019-12-31", "2021-06-01", False, False),
        ([("2019-01-01", "gold")], "2020-01-01", "2021-06-01", True, True),
    ],
)
def test_the_tier_of_the_day_of_the_report_and_the_cover_of_the_day_of_the_loss_decide(
    life, rules, timeline, loss, reported, fast_track, waived
):
    from benefits.rules.claims import entitlements

    life.then(issued())
    life.then(tiers(*timeline))
    life.then(claim(300_000, loss=loss, on=reported))
    found = entitlements(life.state, life.state.claims["C-1"], rules)
    assert (found.fast_track, found.on_site_survey_waived, found.photo_assessment) == (fast_track, waived, waived)
    assert all(reason.zh and reason.en for reason in found.reasons)


def test_only_a_diamond_member_has_an_adviser(life, rules):
    from benefits.rules.claims import entitlements

    life.then(issued())
    for name, has in (("gold", False), ("diamond", True)):
        life.then(tiers(("2020-01-01", name)), at="2021-01-01")
        life.then(claim(900_000))
        assert entitlements(life.state, life.state.claims["C-1"], rules).claims_adviser is has


def test_a_claim_is_advised_once_and_again_only_if_the_amount_changes_what_it_is_entitled_to(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(claim(300_000))
    life.then(claim(300_000, status="registered", on="2021-06-02"))
    life.then(claim(450_000, status="assessed", on="2021-06-05"))
    assert len(life.take(ClaimAdvised)) == 1
    life.then(claim(600_000, status="assessed", on="2021-06-06"))
    [again] = life.take(ClaimAdvised)
    assert not again.on_site_survey_waived
    life.then(claim(100_000, status="paid", on="2021-06-09"))
    assert life.take(ClaimAdvised) == []


def test_imported_claims_are_not_advised(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(claim(300_000), backfill=True)
    life.then(claim(300_000, status="paid", on="2021-07-01"))
    assert life.take(ClaimAdvised) == []


def test_a_tier_known_only_after_the_claim_advises_it_then(life):
    life.then(issued())
    life.then(claim(300_000))
    assert life.take(ClaimAdvised) == []
    life.then(tiers(("2020-01-01", "gold")), at="2021-06-01")
    assert [a.on_site_survey_waived for a in life.take(ClaimAdvised)] == [True]


def test_skipping_levels_grants_each_benefit_once(life):
    life.then(tiers(("2020-01-01", "basic")))
    life.then(tiers(("2020-01-01", "basic"), ("2020-03-01", "diamond")))
    granted = [e for e in life.take(BenefitGranted) if e.change == "new"]
    assert sorted(e.benefit for e in granted if e.benefit not in SEASONAL) == sorted(DIAMOND)


def test_a_year_runs_from_the_first_grant_to_its_anniversary_and_opens_the_quota_anew(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("home_safety", "2021-01-14", period="20200115"))
    life.take()
    life.day("2021-01-15")
    assert [(e.benefit, e.change, e.effective) for e in life.take(BenefitGranted)] == [
        ("home_safety", "renewed", D("2021-01-15")),
        ("safety_handbook", "renewed", D("2021-01-15")),
    ]
    life.then(use("home_safety", "2021-01-15", period="20210115"))


def test_a_day_decides_even_if_nobody_told_that_it_came(life):
    """The new period is there at the first use of it, before any tick."""
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2021-01-15", period="20210115"))
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-16", period="20200115"))


def test_a_visit_of_the_last_day_may_be_told_the_day_after(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.day("2021-01-15")
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-15", period="20200115", today="2021-01-16"))
    told = life.then(use("home_safety", "2021-01-14", period="20200115", today="2021-01-16"))
    assert told.reply.remaining == 0
    assert life.grant("home_safety", "20200115").status == "used"
    assert life.grant("home_safety", "20210115").used == 0


def test_what_is_unused_at_the_end_of_its_period_expires_and_what_was_used_up_does_not(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    life.take()
    life.day("2023-01-20")
    assert [(e.benefit, e.effective) for e in life.take(BenefitExpired)] == [
        ("safety_handbook", D("2021-01-15")),
        ("home_safety", D("2022-01-15")),
        ("safety_handbook", D("2022-01-15")),
        ("home_safety", D("2023-01-15")),
        ("safety_handbook", D("2023-01-15")),
    ]


def test_an_upgrade_within_the_year_lifts_what_is_left(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-02-01", period="20200115"))
    life.take()
    life.then(tiers(("2020-01-15", "basic"), ("2020-05-01", "silver")))
    [lifted] = [e for e in life.take(BenefitGranted) if e.benefit == "home_safety"]
    assert (lifted.change, lifted.quota, lifted.used, lifted.effective) == ("quota_raised", 2, 1, D("2020-05-01"))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("home_safety", "2020-06-02", period="20200115"))


def test_losing_a_tier_revokes_what_is_unused_and_only_that(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(use("fire_safety_kit", "2020-02-01", period="20200101"))
    life.then(use("appliance_cleaning_coupon", "2020-02-01", period="20200101"))
    life.take()
    life.then(tiers(("2020-01-01", "gold"), ("2020-09-01", "basic")))
    revoked = life.take(BenefitRevoked)
    assert {e.reason for e in revoked} == {"tier_lost"}
    assert {e.benefit for e in revoked} == GOLD - BASIC - {"fire_safety_kit"}
    assert life.grant("fire_safety_kit").status == "used"
    assert life.grant("appliance_cleaning_coupon").used == 1
    assert life.grant("home_safety").quota == 1
    with pytest.raises(RefusedError, match="benefit_revoked"):
        life.then(use("water_leak_inspection", "2020-10-01", period="20200101"))


def test_a_tier_regained_within_the_year_brings_back_what_was_left_and_no_more(life):
    steps = [("2020-01-01", "silver"), ("2020-05-01", "basic")]
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(use("appliance_cleaning_coupon", "2020-02-01", period="20200101"))
    life.then(tiers(*steps))
    life.take()
    life.then(tiers(*steps, ("2020-08-01", "silver")))
    restored = {e.benefit: e for e in life.take(BenefitGranted)}
    assert restored["appliance_cleaning_coupon"].change == "restored"
    assert restored["appliance_cleaning_coupon"].effective == D("2020-08-01")
    life.then(use("appliance_cleaning_coupon", "2020-08-02", period="20200101"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("appliance_cleaning_coupon", "2020-08-03", period="20200101"))


@pytest.mark.parametrize(("used_before", "status"), [(True, "used"), (False, "active")])
def test_a_kit_comes_once_in_a_membership_even_after_losing_and_regaining_gold(life, used_before, status):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    if used_before:
        life.then(use("fire_safety_kit", "2020-02-01", period="20200101"))
    life.then(tiers(("2020-01-01", "gold"), ("2022-01-01", "silver"), ("2024-01-01", "gold")), at="2024-01-01")
    kits = [g for g in life.state.grants.values() if g.benefit == "fire_safety_kit"]
    assert [(k.status, k.quota) for k in kits] == [(status, 1)]


def test_a_lapsed_member_keeps_everything_and_can_use_nothing_until_cover_resumes(life):
    life.then(issued(start="2020-01-01", end="2021-01-01"))
    life.then(tiers(("2020-01-01", "silver")))
    before = life.standing()
    with pytest.raises(RefusedError, match="not_in_force"):
        life.then(use("home_safety", "2021-01-01", period="20210101"))
    assert life.standing() == before
    life.then(issued(start="2021-03-01", end="2022-03-01", no="P-2"))
    life.then(use("home_safety", "2021-03-01", period="20210101"))


def test_the_same_reference_twice_is_one_use(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    one = life.then(use("home_safety", "2020-02-01", period="20200101", reference="WO-1")).reply
    two = life.then(use("home_safety", "2020-02-02", period="20200101", reference="WO-1")).reply
    assert one.use_id == two.use_id
    assert len(life.take(BenefitUsed)) == 1


def test_a_use_given_back_can_be_used_again(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "basic")))
    used = life.then(use("home_safety", "2020-02-01", period="20200101")).reply
    assert used.remaining == 0
    back = life.then(ReleaseUse(member_id=M, use_id=used.use_id, today=D("2020-02-02"))).reply
    assert back.remaining == 1
    assert [e.remaining for e in life.take(BenefitReleased)] == [1]
    with pytest.raises(RefusedError, match="use_unknown"):
        life.then(ReleaseUse(member_id=M, use_id=used.use_id, today=D("2020-02-02")))


def test_an_appointment_is_a_use_of_its_day_and_of_a_service(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "silver")))
    booked = life.then(
        use("home_safety", "2020-12-01", period="20200115", today="2020-02-01", is_appointment=True)
    ).reply
    assert booked.remaining == 1
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-15", period="20200115", today="2020-02-01", is_appointment=True))
    with pytest.raises(RefusedError, match="not_bookable"):
        life.then(
            use("appliance_repair_discount", "2020-03-01", period="20200115", today="2020-02-01", is_appointment=True)
        )


# --- coverage extensions ---------------------------------------------------------------------------------------------


def confirmed(request_id, start="2020-02-01", end="2021-01-01"):
    return policy.CoverageExtensionConfirmed(
        member_id=M, request_id=request_id, endorsement_no="E-1", start=D(start), end=D(end)
    )


def test_an_extension_is_active_only_with_the_cores_endorsement(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    [asked] = life.take(CoverageExtensionRequested)
    assert (asked.clause, asked.policy_no) == ("BURST-PIPE-LIABILITY", "P-1")
    assert life.grant("burst_pipe_liability").status == "requested"
    with pytest.raises(RefusedError, match="extension_not_active"):
        life.then(use("burst_pipe_liability", "2020-02-05", period="20200101"))
    life.then(confirmed(asked.request_id), at="2020-02-01")
    assert life.grant("burst_pipe_liability").status == "active"
    with pytest.raises(RefusedError, match="extension_not_active"):
        life.then(use("burst_pipe_liability", "2020-01-31", period="20200101", today="2020-02-05"))
    life.then(use("burst_pipe_liability", "2020-02-05", period="20200101"))


def test_a_rejected_extension_says_so_and_is_never_active(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    [asked] = life.take(CoverageExtensionRequested)
    life.then(
        policy.CoverageExtensionRejected(member_id=M, request_id=asked.request_id, reason="no cellar"), at="2020-02-01"
    )
    assert life.grant("burst_pipe_liability").status == "rejected"
    with pytest.raises(RefusedError, match="extension_not_active"):
        life.then(use("burst_pipe_liability", "2020-02-05", period="20200101"))


def test_an_endorsed_extension_outlives_the_tier_and_ends_with_its_endorsement(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(confirmed(life.grant("burst_pipe_liability").request_id), at="2020-02-01")
    life.then(tiers(("2020-01-01", "silver"), ("2020-06-01", "basic")))
    assert life.grant("burst_pipe_liability").status == "active"
    life.then(use("burst_pipe_liability", "2020-07-01", period="20200101"))
    life.take()
    life.day("2021-01-01")
    assert ("burst_pipe_liability", D("2021-01-01")) in [(e.benefit, e.effective) for e in life.take(BenefitExpired)]


def test_a_request_not_answered_when_the_tier_is_lost_is_revoked(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(tiers(("2020-01-01", "silver"), ("2020-06-01", "basic")))
    assert life.grant("burst_pipe_liability").status == "revoked"


def test_the_core_is_asked_again_once_there_is_a_home_policy(life):
    life.then(issued(no="P-motor", line="motor"))
    life.then(tiers(("2020-01-01", "silver")))
    [first] = life.take(CoverageExtensionRequested)
    assert first.policy_no is None
    life.then(issued(no="P-home", start="2020-03-01", end="2021-03-01"))
    life.then(issued(no="P-other", start="2020-04-01", end="2021-04-01"))
    [second] = life.take(CoverageExtensionRequested)
    assert (second.request_id, second.policy_no) == (first.request_id, "P-home")


def test_imported_history_asks_nothing_of_the_core_until_the_next_day_that_is_lived(life):
    life.then(issued(), backfill=True)
    life.then(tiers(("2020-01-01", "silver")), backfill=True)
    assert life.take(CoverageExtensionRequested) == []
    life.day("2020-01-02")
    assert len(life.take(CoverageExtensionRequested)) == 1


# --- seasons, reports, corrections -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "start", "end"),
    [
        ("440300", "2021-05-01", "2021-07-01"),  # Shenzhen: before the typhoons
        ("420100", "2021-03-01", "2021-05-01"),  # Wuhan: before the Yangtze rainstorms
        ("110000", "2021-05-01", "2021-07-01"),  # Beijing: before the northern floods
        (None, "2021-04-01", "2021-06-01"),
    ],
)
def test_a_diamond_members_patrol_comes_before_the_storms_of_the_region(life, region, start, end):
    life.then(issued(region=region))
    life.then(tiers(("2020-12-01", "diamond")))
    assert not life.standing() & SEASONAL
    life.day(start)
    patrol = life.grant("seasonal_patrol")
    assert (patrol.period_start, patrol.period_end, patrol.status) == (D(start), D(end), "active")
    life.day(end)
    assert life.grant("seasonal_patrol").status == "expired"


def test_a_home_policys_anniversary_makes_one_report_and_a_motor_policys_none(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(claim(100_000, loss="2020-05-01", on="2020-05-02"))
    anniversary = policy.PolicyAnniversary(
        member_id=M,
        policy_no="P-1",
        term_no=1,
        product_line="home",
        years=1,
        effective=D("2021-01-01"),
        region="440300",
    )
    decided = life.then(anniversary)
    [report] = decided.rows
    assert b'"claims":{"reported":1}' in report.body
    assert "台风" in report.body.decode()
    life.then(anniversary)
    motor = policy.PolicyAnniversary(
        member_id=M, policy_no="P-9", term_no=1, product_line="motor", years=1, effective=D("2021-01-01")
    )
    life.then(motor)
    assert [e.report_id for e in life.take(SafetyReportReady)] == ["P-1.1"]


def test_a_tier_that_never_was_takes_back_what_is_open_and_keeps_what_was_used(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(use("water_leak_inspection", "2020-01-05", period="20200101"))
    life.take()
    life.then(tiers(), at="2020-01-10")
    assert {e.benefit for e in life.take(BenefitRevoked)} == SILVER - {"water_leak_inspection"}
    assert [(g.benefit, g.status, g.is_kept) for g in life.state.grants.values()] == [
        ("water_leak_inspection", "used", True)
    ]
    life.then(tiers(("2020-02-01", "silver")))
    assert life.grant("water_leak_inspection", "20200201").status == "active"


def test_a_corrected_first_day_keeps_the_use_and_the_request(life):
    life.then(issued())
    life.then(tiers(("2020-03-01", "silver")))
    life.then(use("water_leak_inspection", "2020-04-01", period="20200301"))
    life.then(
        confirmed(life.grant("burst_pipe_liability").request_id, start="2020-03-01", end="2021-01-01"), at="2020-03-05"
    )
    life.take()
    life.then(tiers(("2020-01-01", "silver")), at="2020-05-01")
    assert [g.status for g in life.state.grants.values() if g.benefit == "water_leak_inspection"] == ["used"]
    assert [g.status for g in life.state.grants.values() if g.benefit == "burst_pipe_liability"] == ["active"]
    assert life.take(CoverageExtensionRequested) == []


def test_an_older_version_of_a_term_changes_nothing(life):
    life.then(issued(version=3, covers=((D("2020-01-01"), D("2020-02-01")),)))
    before = life.state
    life.then(issued(version=2))
    assert life.state is before


def test_what_changes_nothing_leaves_the_state_untouched(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    before = life.state
    life.then(tiers(("2020-01-01", "silver")))
    life.then(issued())
    assert life.state is before
    assert isinstance(before, State)
