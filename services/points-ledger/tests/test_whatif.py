"""Draft earning rules on real history, and their publishing by two persons."""

import os
import time
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.rules.account import Account
from points_ledger.service import SERVICE
from points_ledger.whatif import ALWAYS, Side, Trial, with_draft
from points_ledger.whatif_known import known
from tenure.calendar import start_of
from tenure.contracts.event import Data, Event
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.earning import Campaign, EarningRules, Window
from tenure.contracts.topics import TYPE_OF
from tenure.testing import under_test

from .world import D, M, World, cancelled, did, paid, renewed, served, term, tiers, under_rules

MEMBERS = int(os.environ.get("TENURE_TRIAL_MEMBERS", "50"))


def draft(live: Programme, /, **changes: Any) -> EarningRules:
    return replace(live.earning.newest, version=2, **{"effective": ALWAYS, **changes})


def doubled(rules: Programme, code: str) -> tuple[Any, ...]:
    return tuple(
        replace(rule, fixed=rule.fixed * 2) if rule.code == code else rule for rule in rules.earning.newest.rules
    )


def event(n: int, data: Data, at: str, key: str = M) -> Event:
    return Event(id=f"e-{n}", source="/test", type=TYPE_OF[type(data)], key=key, time=start_of(D(at)), data=data)


def life(member: str = M) -> list[tuple[Data, str, str]]:
    first, second = (term(n, member_id=member, policy_no=f"P-{member}") for n in (1, 2))
    return [
        (paid(first), "2026-01-01", member),
        (tiers(("2026-01-01", "gold"), member_id=member), "2026-01-01", member),
        *((replace(did("quiz", f"2026-03-{n:02}"), member_id=member), f"2026-03-{n:02}", member) for n in range(1, 6)),
        (renewed(second, "2026-12-20", early=12), "2026-12-20", member),
        (cancelled(second, "2027-02-01", "flat"), "2027-02-01", member),
        (served("mentoring", "2026-05-01"), "2026-05-01", "A-7"),
    ]


def history(members: int) -> list[Event]:
    facts = [fact for n in range(members) for fact in life(f"M-{n}")]
    return [event(n, *fact) for n, fact in enumerate(facts)]


def test_a_draft_alike_changes_nothing(rules: Programme) -> None:
    trial = Trial(rules, draft(rules))
    trial.hear(history(3))
    found = trial.compare()
    assert (found.better, found.worse, found.affected) == (0, 0, [])
    assert all(row.live == row.draft for row in found.by_rule)


def test_the_live_side_is_what_the_ledger_itself_decides(rules: Programme) -> None:
    trial, world = Trial(rules, draft(rules)), World(rules)
    for data, at, key in life():
        world.hear(data, at, key=key)
    trial.hear(event(n, *fact) for n, fact in enumerate(life()))
    trial.compare()
    mine: Account = trial.sides[0].accounts[M]
    assert mine.balances == world.accounts[M].balances
    assert {no: lot.standing for no, lot in mine.lots.items()} == {
        no: lot.standing for no, lot in world.accounts[M].lots.items()
    }


def test_points_by_rule_and_month_liability_and_members(rules: Programme) -> None:
    trial = Trial(rules, draft(rules, rules=doubled(rules, "quiz")))
    trial.hear([*history(2), event(9_999, replace(did("article", "2026-03-01"), member_id="M-9"), "2026-03-01", "M-9")])
    found = trial.compare()
    quiz = [row for row in found.by_rule if row.rule == "quiz"]
    assert [(str(row.month), row.live, row.draft) for row in quiz] == [("2026-03-01", 100, 200)]
    assert (found.better, found.worse, found.members) == (2, 0, 4)
    points = found.liability[0]
    assert (points.draft - points.live, points.draft_fen - points.live_fen) == (100, 100)


def test_what_is_owed_of_each_rule_is_the_liability(rules: Programme) -> None:
    """The month's points are what they earned; owed is what is left: here the premium of a cancelled term went back."""
    trial = Trial(rules, draft(rules, rules=doubled(rules, "quiz")))
    trial.hear(history(2))
    found = trial.compare()
    for wallet in found.liability:
        rows = [row for row in found.by_rule if row.wallet == wallet.wallet]
        assert (sum(row.live_owed for row in rows), sum(row.draft_owed for row in rows)) == (wallet.live, wallet.draft)
    assert {row.rule: row.draft_owed - row.live_owed for row in found.by_rule if row.draft_owed != row.live_owed} == {
        "quiz": 100
    }


def test_what_was_reported_elsewhere_is_heard_where_its_date_stands(rules: Programme) -> None:
    """Quizzes of March, told by the app, among premiums of January and of the year after: not after them, when they would be forgotten."""
    later = paid(term(2), 10_000, "2027-06-30")
    trial, world = Trial(rules, draft(rules, rules=doubled(rules, "quiz"))), World(rules)
    quizzes = [(did("quiz", f"2026-03-{n:02}"), f"2026-03-{n:02}") for n in range(1, 11)]
    for data, at in ((paid(term()), "2026-01-01"), *quizzes, (later, "2027-06-30")):
        world.hear(data, at)
    trial.expect(event(100 + n, *quiz) for n, quiz in enumerate(quizzes))
    trial.hear([event(1, paid(term()), "2026-01-01"), event(2, later, "2027-06-30")])
    (found,) = [row for row in trial.compare().by_rule if row.rule == "quiz"]
    assert (found.live, found.draft) == (100, 200)
    assert trial.sides[0].accounts[M].balances == world.accounts[M].balances


def test_a_draft_judges_from_its_day_on(rules: Programme) -> None:
    later = draft(rules, rules=doubled(rules, "quiz"), effective=D("2026-03-03"))
    trial = Trial(rules, later)
    trial.hear(history(1))
    (quiz,) = [row for row in trial.compare().by_rule if row.rule == "quiz"]
    assert (quiz.live, quiz.draft) == (50, 2 * 10 + 3 * 20)
    assert [v.version for v in with_draft(rules, later).earning.all] == [1, 2]


def test_a_draft_follows_what_holds_before_its_day_and_replaces_what_begins_on_it(rules: Programme) -> None:
    first = rules.earning.newest
    both = Programme(
        **{**vars(rules), "earning": Versions([first, replace(first, version=2, effective=D("2026-07-01"))])}
    )
    follows = {
        day: [version.version for version in with_draft(both, replace(first, version=9, effective=D(day))).earning.all]
        for day in ("2026-06-30", "2026-07-01", "2026-07-02")
    }
    assert follows == {"2026-06-30": [1, 9], "2026-07-01": [1, 9], "2026-07-02": [1, 2, 9]}


def test_what_is_owed_on_the_day_is_active_or_pending_and_not_expired(rules: Programme) -> None:
    """A premium of CNY 500.00 whose cooling-off ends on 1 February, and a quiz of 5 January, which expires with January 2028."""

    def trial() -> Trial:
        heard = Trial(rules, draft(rules))
        told = [(paid(term(cooling_off_end=D("2026-02-01"))), "2026-01-01"), (did("quiz", "2026-01-05"), "2026-01-05")]
        heard.hear(event(n, data, at) for n, (data, at) in enumerate(told))
        return heard

    owed = {
        day: trial().compare(day and D(day)).liability[0].live
        for day in (None, "2026-02-01", "2028-02-01", "2028-03-01")
    }
    assert owed == {None: 510, "2026-02-01": 510, "2028-02-01": 500, "2028-03-01": 0}
    found = trial().compare(D("2026-01-02"))
    assert (found.as_of, found.known.since) == (D("2026-01-05"), D("2026-01-01")), "on no day before the newest"


def test_a_budget_in_a_draft_is_served_in_order_and_to_the_point(rules: Programme) -> None:
    march = Window(start=D("2026-03-01"), end=D("2026-04-01"))
    spring = Campaign(code="spring", window=march, percent=300, rules=frozenset({"quiz"}), budget_points_max=130)
    trial = Trial(rules, draft(rules, campaigns=(spring,)))
    facts = history(2)
    trial.hear(
        [
            *facts,
            event(
                9_999, CustomerMerged(member_id="M-0", merged_id="M-1", effective=D("2026-06-01")), "2026-06-01", "M-0"
            ),
        ]
    )
    (quiz,) = [row for row in trial.compare().by_rule if row.rule == "quiz"]
    assert quiz.draft - quiz.live == 130


JUNE, JULY = D("2026-06-01"), D("2026-07-01")


@pytest.mark.parametrize(
    ("of_ledger", "of_trial", "log_since", "asked", "since", "judged", "says"),
    [
        pytest.param({JUNE: 2}, {JUNE: 2}, None, ALWAYS, JUNE, 2, [], id="a log that has all"),
        pytest.param({JUNE: 2}, {JUNE: 3}, None, ALWAYS, JUNE, 2, [], id="what the ledger has not heard yet"),
        pytest.param({}, {}, None, ALWAYS, None, 0, [], id="nothing anywhere"),
        pytest.param(
            {JUNE: 2, JULY: 1}, {JUNE: 1, JULY: 1}, None, ALWAYS, D("2026-06-02"), 2,
            ["seen more than the log retains: 1 of 3 facts that earned are not judged, dated 2026-06-01 to 2026-06-01"],
            id="a log that forgot what came on one day",
        ),
        pytest.param(
            {JUNE: 2, JULY: 1}, {}, None, ALWAYS, D("2026-07-02"), 0,
            ["3 of 3 facts that earned are not judged, dated 2026-06-01 to 2026-07-01"],
            id="a log that forgot everything",
        ),
        pytest.param({}, {JULY: 1}, JULY, JULY, JULY, 0, [], id="a log that begins where the draft does"),
        pytest.param(
            {}, {JULY: 1}, JULY, JUNE, JULY, 0,
            ["the log begins on 2026-07-01, and the draft is judged from 2026-06-01 on"],
            id="a log that begins later than the draft",
        ),
        pytest.param(
            {JUNE: 1}, {JULY: 1}, JULY, ALWAYS, JULY, 0,
            ["the log begins on 2026-07-01, and the draft is judged as if it had always held", "1 of 1 facts"],
            id="both",
        ),
    ],
)  # fmt: skip
def test_a_simulation_says_from_which_day_on_it_knows_all(
    of_ledger: Any, of_trial: Any, log_since: Any, asked: Any, since: Any, judged: int, says: list[str]
) -> None:
    found = known(
        Counter(of_ledger), Counter(of_trial), heard_since=min(of_trial, default=None), log_since=log_since, asked=asked
    )
    assert (found.since, found.judged, found.facts) == (since, judged, sum(of_ledger.values()))
    assert len(found.warnings) == len(says)
    assert all(words in warning for words, warning in zip(says, found.warnings, strict=True)), found.warnings


def test_a_fact_is_counted_once_a_rule_by_its_day(rules: Programme) -> None:
    """A renewal that a late tier tops up is one fact with two lots."""
    trial = Trial(rules, draft(rules))
    life = [(renewed(term(2), "2026-12-20", early=12), "2026-12-20"), (tiers(("2026-06-01", "gold")), "2026-12-21")]
    trial.hear(event(n, *fact) for n, fact in enumerate(life))
    lots = trial.sides[0].accounts[M].lots.values()
    assert [lot.rule for lot in lots] == ["renewal", "renewal"]
    assert trial.sides[0].facts() == {D("2026-12-20"): 1}


def test_a_fact_that_was_taken_back_earned_nothing(rules: Programme) -> None:
    """Steps of one day that turned out to be too few."""
    side = Side(rules)
    for n, steps in enumerate((12_000, 9_000)):
        side.hear(event(n, did("steps", "2026-03-01", steps), "2026-03-01"))
    assert side.facts() == {}


def test_a_share_of_a_budget_is_there_whoever_the_lot_went_to_meanwhile(rules: Programme) -> None:
    """A quiz of 10 and 20 more in May; its member is taken for another's, and is not after all."""
    window = Window(start=D("2026-05-01"), end=D("2026-06-01"))
    may = Campaign(code="may", window=window, percent=300, budget_points_max=1_000)
    side = Side(under_rules(rules, campaigns=(may,)))
    parted = CustomerUnmerged(member_id="S-1", survivor_id="S-1", merged_id=M, effective=D("2026-05-03"))
    side.hear(event(1, did("quiz", "2026-05-01"), "2026-05-01"))
    side.hear(event(2, CustomerMerged(member_id="S-1", merged_id=M, effective=D("2026-05-02")), "2026-05-02", "S-1"))
    side.hear(event(3, parted, "2026-05-03", "S-1"))
    side.close(D("2026-06-01"))
    assert (side.of(M), side.of("S-1")) == (30, 0)


def test_what_the_ledger_would_park_is_counted(rules: Programme) -> None:
    side = Side(rules)
    side.hear(event(1, did("quiz", "2026-03-09"), "2026-03-01"))
    assert (side.refused, side.accounts) == (1, {})


def test_as_many_members_as_asked_for(rules: Programme) -> None:
    """TENURE_TRIAL_MEMBERS=20000 for the figure; 50 by default."""
    events = history(MEMBERS)
    trial, begun = Trial(rules, draft(rules, rules=doubled(rules, "renewal"))), time.process_time()
    trial.hear(events)
    found = trial.compare()
    took = time.process_time() - begun
    print(  # noqa: T201 - the figure of the long form
        f"{len(events):,} events, {found.members:,} accounts: {len(events) / took:,.0f} events/s of one core, both sides"
    )
    assert found.events == len(events)
    assert sum(row.draft - row.live for row in found.by_rule if row.rule == "quiz") == 0


# --- publishing ---


async def test_two_persons_publish_earning_rules_for_a_day_to_come(settings: Any, rules: Programme) -> None:
    import msgspec

    document = msgspec.to_builtins(draft(rules, rules=doubled(rules, "quiz")))
    for name in ("version", "effective"):
        document.pop(name)
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.day(D("2026-05-01"))

        async def post(path: str, body: Any, who: str) -> Any:
            return await t.http.post(
                f"/v1/rules/earning/drafts{path}", json=body, headers=t.auth("operator", subject=who)
            )

        bad = await post(
            "", {"rules": {**document, "rules": [{"code": "x"}]}, "effective": "2026-06-01", "reason": "test"}, "op-1"
        )
        assert bad.json()["code"] == "rules_invalid"
        made = (
            await post("", {"rules": document, "effective": "2026-06-01", "reason": "a better quiz"}, "op-1")
        ).json()
        assert (await post(f"/{made['draft_id']}/approve", {"reason": "mine"}, "op-1")).status_code in (403, 409)
        done = await post(f"/{made['draft_id']}/approve", {"reason": "simulated"}, "op-2")
        assert done.json()["version"] == 2
        await t.feed(did("quiz", "2026-05-31"), at=D("2026-06-01"))
        await t.feed(did("quiz", "2026-06-01"), at=D("2026-06-01"))
        rows = await t.pool.fetch("SELECT earned_on::text, granted, rules_version FROM lots ORDER BY lot_no")
        assert [tuple(row) for row in rows] == [("2026-05-31", 10, 1), ("2026-06-01", 20, 2)]
