"""Coverage extensions are the core's to give: asked for, endorsed or rejected, and never active before."""

import pytest
from benefits_life import D, M, confirmed, issued, tiers, use
from tenure.contracts import policy
from tenure.contracts.benefit import (
    BenefitExpired,
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
