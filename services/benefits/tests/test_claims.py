"""What a claim is entitled to, as an insurance person reads it."""

from datetime import date

import pytest
from benefits.service import SERVICE
from benefits_life import M, claim, issued, tiers
from tenure.contracts.benefit import (
    ClaimAdvised,
)
from tenure.contracts.decision import DayReached

D = date.fromisoformat


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
        ([("2019-01-01", "gold")], "2029-12-31", "2030-06-01", True, True),
        ([("2019-01-01", "gold")], "2030-01-01", "2030-06-01", False, False),
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
    assert ("not_in_force" in {reason.code for reason in found.reasons}) is not fast_track


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


@pytest.mark.parametrize(
    ("status", "advised"), [("reported", [True]), ("assessed", [True]), ("paid", []), ("closed", [])]
)
def test_imported_claims_are_advised_once_as_history_if_they_are_open_when_their_member_begins_to_live(
    life, status, advised
):
    life.then(issued(end="2030-01-01"), backfill=True)
    life.then(tiers(("2020-01-01", "gold")), backfill=True)
    life.then(claim(300_000), backfill=True)
    life.then(claim(300_000, status=status, on="2021-06-20"), backfill=True)
    assert life.take(ClaimAdvised) == []
    assert life.state.due_on <= D("2021-06-21")
    event = life.event(DayReached(key=M, day=D("2021-06-30")))
    told = SERVICE.decide(life.state, event, life.programme)
    origins = dict(zip(told.emit, told.origins, strict=True))
    found = [data for data in told.emit if isinstance(data, ClaimAdvised)]
    assert [data.on_site_survey_waived for data in found] == advised
    assert all(origins[data].backfill for data in found)
    life.state = told.state
    life.then(claim(300_000, status="closed", on="2021-07-01"))
    assert life.take(ClaimAdvised) == []


@pytest.mark.parametrize("status", ["registered", "surveyed", "assessed", "reopened"])
def test_an_imported_claim_that_goes_on_is_advised_like_any_other(life, status):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(claim(300_000), backfill=True)
    life.day("2021-06-30")
    assert life.take(ClaimAdvised) == []
    life.then(claim(450_000, status=status, on="2021-07-01"))
    assert [(a.tier, a.on_site_survey_waived) for a in life.take(ClaimAdvised)] == [("gold", True)]
    life.then(claim(450_000, status=status, on="2021-07-01"))
    life.then(claim(450_000, status="paid", on="2021-07-03"))
    assert life.take(ClaimAdvised) == []


def test_a_claim_that_turns_out_to_be_another_s_is_dropped(life):
    life.then(issued())
    life.then(claim(300_000))
    life.then(claim(300_000, handed_over="from"))
    assert not life.state.claims
    life.then(tiers(("2020-01-01", "gold")), at="2021-06-01")
    assert life.take(ClaimAdvised) == []


def test_a_claim_that_came_from_another_is_advised_by_the_day_of_its_report_and_as_no_news(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold"), ("2021-06-03", "silver")))
    life.then(claim(450_000, status="assessed", on="2021-06-05", reported_on=D("2021-06-01"), handed_over="to"))
    life.then(claim(600_000, status="assessed", on="2021-06-06", reported_on=D("2021-06-01")))
    assert [(a.tier, a.on_site_survey_waived, a.handed_over) for a in life.take(ClaimAdvised)] == [
        ("gold", True, True),
        ("gold", False, False),
    ]


def test_a_tier_known_only_after_the_claim_advises_it_then(life):
    life.then(issued())
    life.then(claim(300_000))
    assert life.take(ClaimAdvised) == []
    life.then(tiers(("2020-01-01", "gold")), at="2021-06-01")
    assert [a.on_site_survey_waived for a in life.take(ClaimAdvised)] == [True]


REPORTED, ASSESSED = (300_000, "reported", "2021-06-01"), (450_000, "assessed", "2021-06-05")
WORDS = [
    # what is told of the claim, as it is heard               -> status, amount, day of the report, advised how often
    ([REPORTED, ASSESSED], "assessed", 450_000, "2021-06-01", 1),
    ([ASSESSED, REPORTED], "assessed", 450_000, "2021-06-01", 1),  # an older word takes nothing back
    (
        [REPORTED, (310_000, "registered", "2021-06-01")],
        "registered",
        310_000,
        "2021-06-01",
        1,
    ),  # one day: the last heard
    ([ASSESSED], "assessed", 450_000, "2021-06-05", 0),  # nobody heard that it was reported: it is history
]


@pytest.mark.parametrize(("words", "status", "amount_fen", "reported", "advised"), WORDS)
def test_the_newest_word_on_a_claim_counts_in_whatever_order_words_come(
    life, words, status, amount_fen, reported, advised
):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    for amount, said, on in words:
        life.then(claim(amount, status=said, on=on))
    known = life.state.claims["C-1"]
    assert (known.status, known.amount_fen, known.reported_on) == (status, amount_fen, D(reported))
    assert len(life.take(ClaimAdvised)) == advised


@pytest.mark.parametrize(("policy_no", "loss"), [("P-1", "2019-12-31"), ("P-2", "2021-05-30")])
def test_a_loss_that_its_own_policy_did_not_cover_has_no_adviser(life, rules, policy_no, loss):
    from benefits.rules.claims import entitlements

    life.then(issued())
    life.then(tiers(("2020-01-01", "diamond")))
    life.then(claim(900_000, loss=loss, policy_no=policy_no))
    assert not entitlements(life.state, life.state.claims["C-1"], rules).claims_adviser
