"""Coverage extensions are the core's to give: asked for, endorsed or rejected, and never active before."""

import pytest
from benefits.rules.endorsements import answer_of
from benefits.views import member_view
from benefits_life import D, M, confirmed, issued, one_by_one, term, tiers, use
from tenure.contracts import policy
from tenure.contracts.benefit import (
    BenefitExpired,
    BenefitGranted,
    CoverageExtensionRequested,
)
from tenure.contracts.decision import RefusedError


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


@pytest.mark.parametrize(
    ("day", "is_covered"),
    [("2020-01-31", False), ("2020-02-01", True), ("2020-12-31", True), ("2021-01-01", False)],
)
def test_an_endorsement_covers_its_first_day_and_not_its_end(life, day, is_covered):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(confirmed(life.grant("burst_pipe_liability").request_id, end="2021-01-01"), at="2020-02-01")
    leak = use("burst_pipe_liability", day, period="20200101", today="2021-01-05")
    if is_covered:
        assert life.then(leak).reply.on == day
    else:
        with pytest.raises(RefusedError, match="extension_not_active"):
            life.then(leak)


def test_a_rejected_extension_says_so_and_is_never_active(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    [asked] = life.take(CoverageExtensionRequested)
    life.then(
        policy.CoverageExtensionRejected(member_id=M, request_id=asked.request_id, reason="no_cellar"), at="2020-02-01"
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


@pytest.mark.parametrize("first", ["the day", "a fact"])
def test_of_a_member_of_history_alone_nothing_is_asked_for_years_that_are_over(life, first):
    """What history implies of years past is told when days come at last, as of its own days; the core is asked as of this one."""
    life.then(issued(end="2030-01-01"), backfill=True)
    life.then(tiers(("2020-01-01", "basic")), backfill=True)
    life.then(tiers(("2020-01-01", "basic"), ("2022-01-01", "silver")), at="2022-01-01", backfill=True)
    life.then(
        tiers(("2020-01-01", "basic"), ("2022-01-01", "silver"), ("2025-01-01", "gold")), at="2025-01-01", backfill=True
    )
    if first == "a fact":
        life.then(issued(no="P-car", line="motor", start="2026-03-01", end="2027-03-01"))
    life.day("2026-03-01")
    asked = [e.request_id.rpartition(".")[2] for e in life.take(CoverageExtensionRequested)]
    assert asked == ["20260101"]
    life.then(tiers(("2020-01-01", "diamond")), at="2026-03-02")
    assert [e.benefit for e in life.take(CoverageExtensionRequested)][-1] == "pet_liability"


def test_periods_that_passed_before_the_first_day_that_is_lived_are_history(life):
    life.then(issued(start="2012-03-01", end="2021-03-01"), backfill=True)
    life.then(tiers(("2012-03-01", "silver")), backfill=True)
    life.take()
    decided = life.then(issued(no="P-2", line="motor", start="2020-06-01"), at="2020-06-01")
    of_the_past = [e for e in one_by_one(decided.emit) if e.effective < D("2020-06-01")]
    assert {type(e) for e in of_the_past} == {BenefitExpired, BenefitGranted, CoverageExtensionRequested}
    news = one_by_one([e for e, origin in zip(decided.emit, decided.origins, strict=True) if origin is None])
    assert [(type(e), e.effective) for e in news] == [(CoverageExtensionRequested, D("2020-03-01"))]


def changed(until, *, version):
    """The home policy's cover ends on another day, as a cancellation or its reversal says; None: there was none at all."""
    covers = ((D("2020-01-01"), D(until)),) if until else ()
    return policy.PolicyCancelled(
        member_id=M,
        term=term(end="2021-01-01", version=version, covers=covers),
        effective=D("2020-06-01"),
        kind="surrender",
    )


def shown(life, day):
    """What is read on the phone of the burst-pipe extension on that day."""
    page = member_view(life.state, life.programme, D(day), language="en", history=False)
    [found] = [b for b in page.benefits if b.benefit == "burst_pipe_liability"]
    return found.status, found.usable, found.covered_to.isoformat()


@pytest.fixture
def endorsed(life):
    """A home policy of 2020 with the clause endorsed to its end, and a car besides."""
    life.then(issued(end="2021-01-01"))
    life.then(issued(no="P-car", line="motor", end="2022-01-01"))
    life.then(tiers(("2020-01-01", "silver")))
    life.then(confirmed(life.grant("burst_pipe_liability").request_id), at="2020-02-01")
    life.take()
    return life


def test_an_endorsed_extension_ends_with_the_policy_it_was_added_to(endorsed):
    endorsed.then(changed("2020-06-01", version=2))
    assert [(e.benefit, e.effective) for e in endorsed.take(BenefitExpired)] == [
        ("burst_pipe_liability", D("2020-06-01"))
    ]
    assert shown(endorsed, "2020-07-01") == ("expired", False, "2020-06-01")
    with pytest.raises(RefusedError, match="extension_not_active"):
        endorsed.then(use("burst_pipe_liability", "2020-07-01", period="20200101"))
    endorsed.then(issued(no="P-new", start="2020-08-01", end="2021-08-01"))  # another policy does not bear the clause
    assert shown(endorsed, "2020-09-01") == ("expired", False, "2020-06-01")


def test_an_extension_of_a_policy_that_never_was_covers_no_day(endorsed):
    endorsed.then(changed(None, version=2))
    assert shown(endorsed, "2020-07-01") == ("expired", False, "2020-02-01")


def test_a_cancellation_taken_back_brings_the_extension_back(endorsed):
    endorsed.then(changed("2020-06-01", version=2))
    endorsed.take()
    endorsed.then(changed("2021-01-01", version=3))
    told = [e.change for e in endorsed.take(BenefitGranted) if e.benefit == "burst_pipe_liability"]
    assert told == ["restored"]
    assert shown(endorsed, "2020-07-01") == ("active", True, "2021-01-01")


def test_a_cancellation_to_come_ends_the_extension_on_its_day(endorsed):
    endorsed.then(changed("2020-08-01", version=2))
    assert endorsed.take(BenefitExpired) == []
    assert shown(endorsed, "2020-07-31") == ("active", True, "2020-08-01")
    endorsed.day("2020-08-01")
    assert [e.benefit for e in endorsed.take(BenefitExpired)] == ["burst_pipe_liability"]


def test_a_policy_that_follows_without_a_gap_carries_the_clause_on(life):
    life.then(issued(end="2020-09-01"))
    life.then(tiers(("2020-01-01", "silver")))
    life.then(confirmed(life.grant("burst_pipe_liability").request_id), at="2020-02-01")
    assert shown(life, "2020-03-01") == ("active", True, "2020-09-01")
    life.then(issued(no="P-renewed", start="2020-09-01", end="2021-09-01"), at="2020-08-20")
    life.day("2020-09-01")
    assert shown(life, "2020-10-01") == ("active", True, "2021-01-01")


COVERED_TO = [
    # cover of the policy asked for, and of other home policies -> where a clause endorsed for [1 February, 1 January) ends
    ([("2020-01-01", "2021-01-01")], [], "2021-01-01"),
    ([("2020-01-01", "2020-05-01"), ("2020-08-01", "2020-12-01")], [], "2020-12-01"),  # lapsed, and back
    ([("2020-01-01", "2020-06-01"), ("2021-01-01", "2022-01-01")], [], "2020-06-01"),  # what is later is not its own
    ([("2018-01-01", "2019-01-01")], [], "2020-02-01"),  # no day
    ([], [("2020-01-01", "2021-01-01")], "2020-02-01"),  # what never was is not carried on
    ([("2020-01-01", "2020-06-01")], [("2020-06-01", "2021-06-01")], "2021-01-01"),
    ([("2020-01-01", "2020-06-01")], [("2020-06-02", "2021-06-01")], "2020-06-01"),  # a day between
    ([("2020-01-01", "2020-06-01")], [("2020-09-01", "2020-10-01"), ("2020-06-01", "2020-09-01")], "2020-10-01"),
]


@pytest.mark.parametrize(("own", "others", "ends"), COVERED_TO)
def test_a_clause_stands_as_long_as_the_cover_it_was_added_to(life, own, others, ends):
    life.then(issued(end="2021-01-01"))
    life.then(tiers(("2020-01-01", "silver")))
    life.then(confirmed(life.grant("burst_pipe_liability").request_id), at="2020-02-01")
    for n, (start, end) in enumerate(others):
        life.then(issued(no=f"P-{n + 2}", start=start, end=end), at="2020-02-01")
    covers = tuple((D(start), D(end)) for start, end in own)
    life.then(issued(end="2021-01-01", version=2, covers=covers), at="2020-02-01")
    answer = answer_of(life.grant("burst_pipe_liability"), life.state)
    assert answer.end == D(ends)
