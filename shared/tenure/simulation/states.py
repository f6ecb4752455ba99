"""A service's states behind the model: what its rules decided is kept as it is, key by key, under the same locks.

The invariant: the rules, keys and types are the service's own; only `load`, `save` and `due` are answered here. `Shape` says what
is particular about a service's store: what it gives for a key never heard of, and what it leaves out when it reads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from tenure.contracts.event import Event
from tenure.history import Rule
from tenure.service import Saved, Service
from tenure.simulation.connection import Connection, in_hand
from tenure.simulation.tables import Transaction


def _as_kept(_: Transaction, __: str, state: Any) -> Any:
    return state


def _whole(state: Any) -> Any:
    return state


def _nothing_more(_: Transaction, __: Saved[Any]) -> None: ...


def _nobody_else(_: Transaction) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class Shape:
    """`blank`: the state of a new key, None where the store has none. `read`: what `load` makes of a kept state; `kept`: what
    `save` keeps of one.

    `due_name`: what `due` calls a key. `also_saved`, `also_due`: what the store keeps and finds beside the states.
    """

    blank: Callable[[str], Any] = lambda _: None
    read: Callable[[Transaction, str, Any], Any] = _as_kept
    kept: Callable[[Any], Any] = _whole
    due_name: Callable[[str, Any], str] = lambda key, _: key
    also_saved: Callable[[Transaction, Saved[Any]], None] = _nothing_more
    also_due: Callable[[Transaction], Iterable[str]] = _nobody_else


def modelled(
    service: Service[Any], shape: Shape | None = None, *, before_rule: Callable[[Event], None] | None = None
) -> Service[Any]:
    """The service on the model.

    With `before_rule`, that is called first, and every decision is noted in the transaction it belongs to, as (event, decision).
    """
    states = _States(shape or Shape())
    rules = service.rules
    if before_rule is not None:
        rules = {kind: _observed(rule, before_rule) for kind, rule in rules.items()}
    due = states.due if service.due is not None else None
    return replace(service, rules=rules, load=states.load, save=states.save, due=due)  # type: ignore[arg-type]


def _observed(rule: Rule, before_rule: Callable[[Event], None]) -> Rule:
    def decided(state: Any, event: Event, programme: Any) -> Any:
        before_rule(event)
        decision = rule(state, event, programme)
        in_hand.get().notes.append((event, decision))
        return decision

    return decided


class _States:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    async def load(self, conn: Connection, keys: Sequence[str]) -> dict[str, Any]:
        tx = await _statement(conn)
        found = {}
        shape = self.shape
        for key in sorted(keys):
            if not tx.take(("states", key)):
                await tx.lock(("states", key))
            state = tx.get("states", key)
            if state is None:
                state = shape.blank(key)
            if state is not None:
                found[key] = shape.read(tx, key, state)
        return found

    async def save(self, conn: Connection, saved: Saved[Any]) -> None:
        tx = await _statement(conn)
        tx.writes.setdefault("states", {}).update((key, self.shape.kept(state)) for key, state in saved.after.items())
        self.shape.also_saved(tx, saved)

    async def due(self, conn: Connection, day: date, keys_max: int) -> list[str]:
        """The earliest due first; what another transaction has locked is passed over."""
        tx = await _statement(conn)
        store = tx.store
        days = sorted(on for on, keys in store.due.items() if keys and on <= day)
        dated = [key for on in days for key in sorted(store.due[on])]
        found: list[str] = []
        for key in dict.fromkeys([*dated, *self.shape.also_due(tx)]):
            if len(found) < keys_max and store.locks.get(("states", key), tx) is tx:
                await tx.lock(("states", key))
                found.append(self.shape.due_name(key, tx.get("states", key)))
        return found


async def _statement(conn: Connection) -> Transaction:
    await conn.answering()
    assert conn.tx is not None
    return conn.tx
