"""A policy's life in few words, for table tests: facts with their days, and what comes of them."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from policy_sync.commands import Correct, DismissGap
from policy_sync.rules.corrections import SOURCE, fact_id, on_correct
from policy_sync.rules.dismissals import on_dismissed
from policy_sync.rules.facts import Fact, fact
from policy_sync.rules.fold import Policy, fold
from policy_sync.rules.keys import blank, keys
from policy_sync.rules.policies import on_day, on_fact
from tenure.calendar import start_of
from tenure.contracts import core, policy
from tenure.contracts.decision import DayReached, Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.keys import key_of
from tenure.contracts.topics import TYPE_OF

POLICY = "P-1"
MEMBER = "M-1"
YUAN = 100


def day(text: str) -> date:
    return date.fromisoformat(text)


def issued(
    start: str = "2024-03-01", end: str = "2025-03-01", *, term_no: int = 1, yuan: int = 365, **more: Any
) -> core.PolicyIssued:
    more = {"member_id": MEMBER, "product_line": "home", "policy_no": POLICY} | more
    return core.PolicyIssued(start=day(start), end=day(end), premium_fen=yuan * YUAN, term_no=term_no, **more)


def renewed(start: str, end: str, *, term_no: int = 2, yuan: int = 365, **more: Any) -> core.PolicyRenewed:
    return core.PolicyRenewed(
        policy_no=POLICY, term_no=term_no, start=day(start), end=day(end), premium_fen=yuan * YUAN, **more
    )


def paid(on: str, *, term_no: int = 1, yuan: int = 365, instalment_no: int = 1) -> core.PremiumPaid:
    return core.PremiumPaid(
        policy_no=POLICY, term_no=term_no, amount_fen=yuan * YUAN, paid_on=day(on), instalment_no=instalment_no
    )


def refunded(on: str, yuan: int, *, term_no: int = 1) -> core.PremiumRefunded:
    return core.PremiumRefunded(policy_no=POLICY, term_no=term_no, amount_fen=yuan * YUAN, refunded_on=day(on))


def endorsed(
    on: str, *, yuan: int = 0, end: str | None = None, term_no: int = 1, no: str = "E-1"
) -> core.PolicyEndorsed:
    return core.PolicyEndorsed(
        policy_no=POLICY,
        term_no=term_no,
        endorsement_no=no,
        effective=day(on),
        premium_delta_fen=yuan * YUAN,
        end=day(end) if end else None,
    )


def cancelled(on: str, kind: core.CancellationKind = "mid_term", *, term_no: int = 1) -> core.PolicyCancelled:
    return core.PolicyCancelled(policy_no=POLICY, term_no=term_no, effective=day(on), kind=kind)


def reversed_(on: str, *, term_no: int = 1) -> core.CancellationReversed:
    return core.CancellationReversed(policy_no=POLICY, term_no=term_no, effective=day(on))


def lapsed(on: str, *, term_no: int = 1) -> core.PolicyLapsed:
    return core.PolicyLapsed(policy_no=POLICY, term_no=term_no, effective=day(on))


def reinstated(on: str, *, bridged: bool, term_no: int = 1) -> core.PolicyReinstated:
    return core.PolicyReinstated(policy_no=POLICY, term_no=term_no, effective=day(on), bridged=bridged)


def rescinded(on: str) -> core.PolicyRescinded:
    return core.PolicyRescinded(policy_no=POLICY, effective=day(on), reason="non_disclosure")


def holder_changed(on: str, member_id: str, **more: Any) -> core.PolicyHolderChanged:
    return core.PolicyHolderChanged(policy_no=POLICY, term_no=1, effective=day(on), member_id=member_id, **more)


def claim(step: type[Any], on: str, *, no: str = "C-1", **more: Any) -> Data:
    about = {"policy_no": POLICY, "claim_no": no, **more}
    if step is core.ClaimReported:
        return core.ClaimReported(**{"loss_date": day(on)} | about, reported_on=day(on))
    built: Data = step(on=day(on), **about)
    return built


class Said:
    """One thing the core says, on a day (default: the fact's own), at an hour of it."""

    def __init__(
        self, data: Data, on: str | None = None, *, backfill: bool = False, id_: str | None = None, hour: int = 10
    ) -> None:
        names = ("effective", "on", "paid_on", "reported_on", "refunded_on", "renewed_on", "registered_on", "start")
        own = on or next(d.isoformat() for name in names if isinstance(d := getattr(data, name, None), date))
        self.data, self.day, self.backfill = data, day(own), backfill
        self.id = id_ or uuid.uuid4().hex
        self.time: datetime = start_of(self.day) + timedelta(hours=hour)

    def event(self) -> Event:
        return Event(
            id=self.id,
            source="/core/test",
            type=TYPE_OF[type(self.data)],
            key=key_of(self.data),
            time=self.time,
            data=self.data,
            backfill=self.backfill,
        )

    def fact(self) -> Fact:
        return fact(self.id, "/core/test", self.time, backfill=self.backfill, data=self.data)


def said(*facts: Data | Said) -> list[Said]:
    return [f if isinstance(f, Said) else Said(f) for f in facts]


def folded(*facts: Data | Said) -> Policy:
    policy = fold(POLICY, [f.fact() for f in said(*facts)])
    assert policy is not None
    return policy


class World:
    """The rules alone, with their states in a dict: say facts, let days come, collect what is told."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.told: list[Data] = []
        self.history: list[bool] = []
        """Of each of them, whether it is told as history."""

    def say(self, *facts: Data | Said) -> list[Data]:
        """What these facts tell."""
        before = len(self.told)
        for one in said(*facts):
            event = one.event()
            touched = keys(event)
            states = tuple(self._state(key) for key in touched)
            decided = on_fact(states if len(states) > 1 else states[0], event, None)  # type: ignore[arg-type]
            after = decided.state if len(states) > 1 else (decided.state,)
            self.states.update(zip(touched, after, strict=True))
            self._tell(decided, event)
        return self.told[before:]

    def come(self, *days: str | date) -> list[Data]:
        """What the policy tells as these days start, if it is due."""
        before = len(self.told)
        for one in days:
            today = one if isinstance(one, date) else day(one)
            state = self._state(POLICY)
            if state.due_on is None or state.due_on > today:
                continue
            data = DayReached(key=POLICY, day=today)
            event = Event(id="", source="", type="due", key=POLICY, time=start_of(today), data=data)
            decided = on_day(state, event, None)  # type: ignore[arg-type]
            assert decided.state.due_on is None or decided.state.due_on > today
            self.states[POLICY] = decided.state
            self._tell(decided, event)
        return self.told[before:]

    def dismiss(self, id_: str, *, on: str = "2024-12-01") -> list[Data]:
        """What it tells that an operator dismisses the fact of this id. Raises RefusedError."""
        said = DismissGap(policy_no=POLICY, fact_id=id_, source=None, dismissed_by="li", reason="TICKET-1")
        event = Event(id="", source="", type="", key=POLICY, time=start_of(day(on)), data=said)
        decided = on_dismissed(self._state(POLICY), event, None)  # type: ignore[arg-type]
        self.states[POLICY] = decided.state
        self._tell(decided, event)
        return list(decided.emit)

    def correct(self, said: Correct, n: int, *, on: str = "2024-12-01") -> None:
        """Take this for a control file's difference number `n`. Raises RefusedError."""
        id_ = fact_id(said.control_id, n)
        event = Event(id=id_, source=SOURCE, type="", key=POLICY, time=start_of(day(on)), data=said)
        decided = on_correct(self._state(POLICY), event, None)  # type: ignore[arg-type]
        self.states[POLICY] = decided.state
        self._tell(decided, event)

    def _tell(self, decided: Decision[Any], event: Event) -> None:
        self.told += decided.emit
        self.history += [
            event.backfill if origin is None else origin.backfill
            for origin in decided.origins or [None] * len(decided.emit)
        ]

    def _state(self, key: str) -> Any:
        return self.states.setdefault(key, blank(key))

    @property
    def policy(self) -> Policy:
        whole: Policy | None = self.states[POLICY].policy
        assert whole is not None
        return whole

    @property
    def standing(self) -> set[tuple[str, int, str]]:
        """Milestones that stand, as (kind, number, day)."""
        told = self.states[POLICY].told
        return {(m.kind, m.number, m.day.isoformat()) for m, stands in told.items() if stands}


def names(told: Iterable[Data]) -> list[str]:
    return [TYPE_OF[type(d)] for d in told]


def covers_of(policy: Policy, term_no: int = 1) -> list[str]:
    return [f"{start}..{end}" for start, end in policy.term(term_no).covers]


Parts = dict[tuple[str, int], list[str]]
"""The cover of each member in each term, where there is any."""


def parts_told(told: Iterable[Data]) -> Parts:
    """What members' services keep of what they were told: the highest version of each copy."""
    newest: dict[tuple[str, int], policy.Term] = {}
    for event in told:
        if isinstance(event, policy.TermEvent):
            copy = newest.setdefault((event.member_id, event.term.term_no), event.term)
            newest[event.member_id, event.term.term_no] = max(copy, event.term, key=lambda term: term.version)
    return {who: [f"{start}..{end}" for start, end in copy.covers] for who, copy in newest.items() if copy.covers}


def parts_held(whole: Policy) -> Parts:
    """What is whose, by the facts."""
    return {
        (member, term.term_no): [f"{start}..{end}" for start, end in covers]
        for term in whole.terms
        for member in {h.member_id for h in whole.holders}
        if (covers := whole.held_by(member, term.covers))
    }


def days_of(told: Sequence[Data], cls: type[Any]) -> list[str]:
    return [d.effective.isoformat() for d in told if isinstance(d, cls)]  # type: ignore[attr-defined]
