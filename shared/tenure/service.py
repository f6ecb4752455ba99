"""What a service is: a literal that says what it reads, how it decides, where it keeps state, and what it serves.

Everything generic (delivery, parking, outbox, jobs, HTTP) takes a `Service` and nothing else; a service's
`service.py` is this literal and its imports. Bad wiring fails when it is built.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from asyncpg.connection import Connection
from prometheus_client import Gauge

from tenure.calendar import start_of
from tenure.contracts.decision import DayReached, Decision
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.topic import Topic
from tenure.contracts.topics import TOPIC_OF, read_by
from tenure.history import Rule, after_history
from tenure.rulebook.kinds import KINDS

if TYPE_CHECKING:
    from fastapi import APIRouter

S = TypeVar("S")
RouterOf = Callable[..., "APIRouter"]
Forget = Callable[[Connection, int], Awaitable[int]]
_OF_THE_SPINE: Final = frozenset({"day.started", "rules.published", "rules.withdrawn"})
"""Events that touch no state of a service: the spine keeps the calendar and the rules that are followed."""


@dataclass(frozen=True, slots=True)
class Saved(Generic[S]):
    """What `save` writes: the states that changed (`after`), as they were (`before`), and rows to append, in order."""

    before: Mapping[str, S]
    after: Mapping[str, S]
    rows: Sequence[Any]


def own_key(event: Event) -> tuple[str, ...]:
    return (event.key,)


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S]):
    """One service's wiring.

    `rules` maps the type of an event's data to the rule that decides it; `ignores` names the event types of its
    topics that mean nothing to it. Every type of every topic it reads must stand in one of the two, so that a new
    event is a decision, not an accident. `keys` tells which states an event touches, default its own key. `catch_up` brings what
    is known from history alone up to a day, for states that say whether they are `of_history` (`tenure.history`). `problems`
    are the refusals of its rules and routes, code to (HTTP status, English title, Chinese title). `gauges` are metrics of
    its own, each with the statement that is asked for its value every few seconds: make it one that an index answers.
    `forgets` are tables with a retention, each with what deletes up to so many rows past it, and says how many it did.
    `routers` is called by who serves HTTP: what they stand on takes longer to load than all else, and a command does without.
    `rulebooks` are the kinds of rules it owns: two persons publish versions of them in its database (`tenure.rulebook`).
    `follows` are kinds that others own and it goes by: it reads `programme.v1` and keeps what is published.
    """

    name: str
    package: str
    rules: Mapping[type, Rule]
    ignores: frozenset[str] = frozenset()
    load: Callable[[Connection, Sequence[str]], Awaitable[dict[str, S]]]
    save: Callable[[Connection, Saved[S]], Awaitable[None]]
    due: Callable[[Connection, date, int], Awaitable[list[str]]] | None = None
    keys: Callable[[Event], tuple[str, ...]] = own_key
    catch_up: Rule | None = None
    routers: Callable[[], tuple[RouterOf, ...]] = tuple
    background: tuple[Callable[..., Awaitable[None]], ...] = ()
    problems: Mapping[str, tuple[int, str, str]] = field(default_factory=dict)
    migrations: Path
    under_way: str = ""
    gauges: tuple[tuple[Gauge, str], ...] = ()
    forgets: tuple[tuple[str, Forget], ...] = ()
    rulebooks: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        declared = {name: cls for topic in self.reads for name, cls in topic.types.items()}
        unheard = {n for n, cls in declared.items() if cls not in self.rules} - self.ignores - _OF_THE_SPINE
        assert not unheard, f"{self.name} neither handles nor ignores {sorted(unheard)}"
        stray = self.ignores - set(TOPIC_OF)
        assert not stray, f"{self.name} ignores unknown types {sorted(stray)}"
        assert self.due is None or DayReached in self.rules, f"{self.name} has due work and no rule for DayReached"
        unknown = {*self.rulebooks, *self.follows} - set(KINDS)
        assert not unknown, f"{self.name} goes by rules of a kind there is not: {sorted(unknown)}"
        assert not set(self.follows) & set(self.rulebooks), f"{self.name} follows the rules it owns"
        assert not self.follows or "rules.published" in declared, (
            f"{self.name} follows rules and does not read programme.v1"
        )

    @property
    def reads(self) -> tuple[Topic, ...]:
        return read_by(self.name)

    @property
    def database(self) -> str:
        return "tenure_" + self.name.replace("-", "_")

    def decide(self, state: Any, event: Event, programme: Any, *, calendar: date | None = None) -> Decision[Any]:
        """The rule for this event. An event type the service ignores changes nothing. Raises WrongEventError.

        `calendar`: the newest day that came, for whoever hears history.
        """
        rule = self.rules.get(type(event.data))
        if rule is not None and self.catch_up is not None:
            return after_history(self.catch_up, rule, state, event, programme, calendar=calendar)
        if rule is not None:
            return rule(state, event, programme)
        if event.type in self.ignores:
            return Decision(state=state)
        raise WrongEventError("unknown_type", f"{self.name} has no rule for {event.type}")

    def day_reached(self, key: str, day: date) -> Event:
        """The event that tells one key that the calendar reached `day`."""
        return Event(
            id=f"{key}@{day.isoformat()}",
            source=f"/tenure/{self.name}/due",
            type="due",
            key=key,
            time=start_of(day),
            data=DayReached(key=key, day=day),
        )
