"""A core to try things with: one day of traffic in which everything awkward happens (DOMAIN 1-12), and what has to come of it.

The invariant: the same day gives the same records under the same ids, so sending it again changes nothing; every case has policies
and customers of its own, and says as data what the platform's REST API must answer afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from tenure.calendar import DAY, start_of
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.spine.codec import encode, event_of
from tenure.spine.log import Outgoing

SOURCE: Final = "/core/mock"
YUAN: Final = 100
LEAP_DAY: Final = (2, 29)


@dataclass
class Case:
    """What is sent, in this order, and what must be seen: by policy, member or claim, then by what is asked."""

    name: str
    says: str
    records: list[Outgoing] = field(default_factory=list)
    expects: dict[str, dict[str, Any]] = field(default_factory=dict)


class Day:
    """Builds the cases of one day. Facts are recorded a minute apart, in the order in which the core wrote them."""

    def __init__(self, on: date) -> None:
        self.on, self.cases = on, list[Case]()
        self._minute, self._said = 0, 0

    def case(self, name: str, says: str, **expects: Mapping[str, Any]) -> None:
        self.cases.append(Case(name, says, expects={k: dict(v) for k, v in expects.items()}))
        self._said = 0

    def p(self, n: str) -> str:
        return f"MC{self.on:%y%m%d}-P{n}"

    def m(self, n: str) -> str:
        return f"MC{self.on:%y%m%d}-M{n}"

    def ago(self, days: int) -> date:
        return self.on - timedelta(days=days)

    def insured(self, since: int, until: int = 0) -> int:
        """Insured days from so many days ago until so many days ago: a leap day is none."""
        days = (self.ago(n) for n in range(since, until, -1))
        return sum((day.month, day.day) != LEAP_DAY for day in days)

    def say(self, data: Data, *, id_: str = "", minute: int | None = None) -> None:
        """`minute`: when the core recorded it, if not after what it said last."""
        self._said += 1
        self._minute += 1
        case = self.cases[-1]
        time = start_of(self.on) + timedelta(hours=9, minutes=self._minute if minute is None else minute)
        name = id_ or f"mc-{self.on.isoformat()}-{case.name.split()[0]}-{self._said}"
        case.records.append(encode(event_of(data, id=name, source=SOURCE, time=time)))

    def issue(self, n: str, member: str = "", *, since: int = 0, days: int = 365, yuan: int = 200, **more: Any) -> None:
        terms: dict[str, Any] = {"start": self.ago(since), "end": self.ago(since) + DAY * days, "product_line": "home"}
        minute = more.pop("minute", None)
        about: dict[str, Any] = {"policy_no": self.p(n), "member_id": self.m(member or n), "premium_fen": yuan * YUAN}
        self.say(core.PolicyIssued(**(about | terms | more)), minute=minute)

    def pay(self, n: str, yuan: int = 200, *, since: int = 0, id_: str = "", **more: Any) -> None:
        paid = core.PremiumPaid(policy_no=self.p(n), amount_fen=yuan * YUAN, paid_on=self.ago(since), **more)
        self.say(paid, id_=id_)

    def cancel(self, n: str, since: int = 0, kind: Any = "mid_term", **more: Any) -> None:
        minute = more.pop("minute", None)
        self.say(core.PolicyCancelled(policy_no=self.p(n), effective=self.ago(since), kind=kind, **more), minute=minute)

    def refund(self, n: str, yuan: int) -> None:
        self.say(core.PremiumRefunded(policy_no=self.p(n), amount_fen=yuan * YUAN, refunded_on=self.on))


def day_of_traffic(on: date) -> list[Case]:
    """Every case of the day."""
    day = Day(on)
    for tell in (_delivery, _out_of_turn, _years, _persons, _money_and_claims):
        tell(day)
    return day.cases


def _delivery(d: Day) -> None:
    d.case(
        "01 duplicate",
        "the same event twice counts once",
        terms={d.p("01"): [[1, "in_force", 200_00]]},
        points={d.m("01"): 200},
    )
    d.issue("01")
    d.pay("01", id_=f"mc-{d.on}-twice")
    d.pay("01", id_=f"mc-{d.on}-twice")
    d.cases[-1].records[-1] = d.cases[-1].records[-2]
    d.case("02 re-emitted", "the same business fact under a new id counts once", points={d.m("02"): 200})
    d.issue("02")
    d.pay("02")
    d.pay("02")
    d.case(
        "03 poison",
        "a wrong policy is parked, another one goes on",
        parked={d.p("03"): "end_before_start"},
        points={d.m("03b"): 200},
    )
    d.issue("03", days=0)
    d.issue("03b")
    d.pay("03b")
    d.case("04 garbage", "a record that is no JSON is parked", parked={d.p("04"): "malformed"})
    d.issue("04")
    whole = d.cases[-1].records[-1]
    d.cases[-1].records[-1] = Outgoing(whole.topic, whole.key, whole.value[:20], whole.headers)


def _out_of_turn(d: Day) -> None:
    d.case(
        "05 cancelled before issued",
        "both apply, and nothing is left",
        terms={d.p("05"): [[1, "void", 0]]},
        points={d.m("05"): 0},
    )
    d.cancel("05", kind="flat", minute=400)
    d.issue("05", minute=10)
    d.pay("05")
    d.refund("05", 200)
    d.case(
        "06 late endorsement",
        "the premium counts from its day",
        terms={d.p("06"): [[1, "in_force", 300_00]]},
        points={d.m("06"): 400},
    )
    d.issue("06", since=100)
    d.pay("06")
    d.say(
        core.PolicyEndorsed(
            policy_no=d.p("06"), endorsement_no="E-1", effective=d.ago(50), premium_delta_fen=100 * YUAN
        )
    )
    d.case(
        "07 late cancellation", "cover ends in the past, points in proportion",
        terms={d.p("07"): [[1, "cancelled", 100_00]]}, days={d.m("07"): d.insured(200, 100)}, points={d.m("07"): 100},
    )  # fmt: skip
    d.issue("07", since=200, yuan=365)
    d.pay("07", 365, since=200)
    d.cancel("07", since=100)
    d.refund("07", 265)
    d.case(
        "08 reversed and re-applied",
        "a renewal earns once",
        terms={d.p("08"): [[1, "in_force", 100_00], [2, "in_force", 100_00]]},
        points={d.m("08"): 420},
    )
    d.issue("08", since=370, yuan=100)
    d.pay("08", 100)
    renewed: dict[str, Any] = {"term_no": 2, "start": d.ago(5), "end": d.ago(5) + DAY * 365, "premium_fen": 100 * YUAN}
    d.say(core.PolicyRenewed(policy_no=d.p("08"), renewed_on=d.ago(10), **renewed))
    d.pay("08", 100, term_no=2)
    d.cancel("08", since=5, kind="flat", term_no=2)
    d.say(core.CancellationReversed(policy_no=d.p("08"), term_no=2, effective=d.ago(5)))
    d.case("09 reversal heard first", "it waits for its cancellation", terms={d.p("09"): [[1, "in_force", 200_00]]})
    d.issue("09", minute=1)
    d.say(core.CancellationReversed(policy_no=d.p("09"), effective=d.on), minute=500)
    d.cancel("09", minute=400)


def _years(d: Day) -> None:
    d.case("10 next month", "issued today, insured from its start", days={d.m("10"): 0}, points={d.m("10"): 200})
    d.issue("10", since=-30)
    d.pay("10")
    d.case("11 overlaps", "days of several policies count once", days={d.m("11"): d.insured(400)})
    d.issue("11a", "11", since=400, yuan=10)
    d.issue("11b", "11", since=300, yuan=10, product_line="motor")
    d.issue("11c", "11", since=30, days=30, yuan=10)
    d.case("12 bridged", "arrears paid: as if cover had never stopped", days={d.m("12"): d.insured(100)})
    _lapse(d, "12", bridged=True)
    d.case("13 gap", "days stop and resume", days={d.m("13"): d.insured(100, 50) + d.insured(20)})
    _lapse(d, "13", bridged=False)
    d.case(
        "14 rewrite heard first", "the chain goes on from its beginning",
        inception={d.p("14b"): d.ago(500).isoformat()}, days={d.m("14"): d.insured(500)},
    )  # fmt: skip
    d.issue("14b", "14", since=10, previous_policy_no=d.p("14a"), minute=300)
    d.issue("14a", "14", since=500, days=490, minute=1)


def _lapse(d: Day, n: str, *, bridged: bool) -> None:
    d.issue(n, since=100)
    d.say(core.PolicyLapsed(policy_no=d.p(n), effective=d.ago(50)))
    d.say(core.PolicyReinstated(policy_no=d.p(n), effective=d.ago(20), bridged=bridged))


def _persons(d: Day) -> None:
    d.case(
        "15 holder change heard first",
        "years follow the person",
        days={d.m("15"): d.insured(100, 40), d.m("15b"): d.insured(40)},
    )
    d.say(core.PolicyHolderChanged(policy_no=d.p("15"), effective=d.ago(40), member_id=d.m("15b")), minute=300)
    d.issue("15", since=100, minute=1)
    d.case(
        "16 merged",
        "what comes under the old number is the survivor's",
        days={d.m("16"): d.insured(100)},
        points={d.m("16"): 200},
    )
    d.issue("16a", "16a", since=100, days=60)
    d.issue("16b", "16", since=60)
    d.say(core.CustomerMerged(member_id=d.m("16"), merged_id=d.m("16a"), on=d.on))
    d.pay("16a")
    d.case(
        "17 parted again",
        "each policy is told to its own",
        holder={d.p("17a"): d.m("17a"), d.p("17"): d.m("17")},
        days={d.m("17a"): d.insured(100), d.m("17"): d.insured(80)},
    )
    d.issue("17a", "17a", since=100)
    d.issue("17", "17", since=80)
    d.say(core.CustomerMerged(member_id=d.m("17"), merged_id=d.m("17a"), on=d.on))
    d.say(core.CustomerUnmerged(member_id=d.m("17"), merged_id=d.m("17a"), on=d.on))
    d.case("18 an employer pays", "the points are the member's", points={d.m("18"): 120})
    d.issue("18", yuan=120)
    d.pay("18", 120, payer_id=d.m("18-employer"))


def _money_and_claims(d: Day) -> None:
    d.case("19 three hundred yuan", "300.00 is not silver, 300.01 is", tier={d.m("19a"): "basic", d.m("19b"): "silver"})
    d.issue("19a", yuan=300)
    d.issue("19b", premium_fen=300_01)
    d.case(
        "20 cooling-off",
        "void: no years, no points",
        terms={d.p("20"): [[1, "void", 0]]},
        days={d.m("20"): 0},
        points={d.m("20"): 0},
    )
    d.issue("20", since=5, yuan=500, cooling_off_days=15)
    d.pay("20", 500)
    d.cancel("20", kind="cooling_off")
    d.refund("20", 500)
    d.case(
        "21 rescinded", "non-disclosure: all of it is void", terms={d.p("21"): [[1, "void", 0]]}, points={d.m("21"): 0}
    )
    d.issue("21", since=90)
    d.pay("21")
    d.say(core.PolicyRescinded(policy_no=d.p("21"), effective=d.on, reason="non_disclosure"))
    claim = {"policy_no": d.p("22"), "claim_no": d.p("22") + "-C"}
    d.case(
        "22 assessed before reported",
        "the assessment waits for the report",
        claim={claim["claim_no"]: ["assessed", 800_00]},
    )
    d.issue("22", since=90)
    d.say(core.ClaimAssessed(**claim, on=d.on, amount_fen=800_00), minute=500)
    d.say(core.ClaimReported(**claim, loss_date=d.ago(3), reported_on=d.on, estimate_fen=900_00), minute=450)
