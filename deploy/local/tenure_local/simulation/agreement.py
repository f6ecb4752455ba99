"""What must hold of the states, at any time and once the world is quiet: whole in themselves, nothing missing, services that agree.

The invariant: each sentence is asked of the states alone, and where a service's `verify` has a pure sentence, it is that one, so
that the model is held to what `tenure verify` asks of PostgreSQL.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benefits.verify import CHECKS as OF_GRANTS
from mall.keys import MEMBER as CUSTOMER
from points_ledger.rules.account import WALLETS, Account, Lot, balance
from policy_sync.rules.policies import PolicyState
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TOPIC_OF, TYPES
from tenure.simulation.tables import Store
from tier_engine.rules import live
from tier_engine.verify import Stored, next_changes_are_due, timelines_recompute_alike

from tenure_local import whose_cover
from tenure_local.simulation.witness import Seen, Witness
from tenure_local.standings import covered_alike, lapse_is_shown, risk_is_shown

Stores = Mapping[str, Store]
_SIDES: Final = tuple((balance(w, "debt"), balance(w, "available")) for w in WALLETS)
_SHOWN: Final = tuple((w, tuple(balance(w, b) for b in ("available", "pending", "held", "debt"))) for w in WALLETS)
_NOTHING: Final = (0, 0, 0, 0)


def wrong_states(stores: Stores, programme: Programme) -> list[str]:
    """Every account, member and grant that is not whole in itself."""
    found = [*_wrong_accounts(_states(stores, "points-ledger")), *_wrong_tiers(stores, programme)]
    for member, state in _states(stores, "benefits").items():
        found += [
            f"benefits of {member}: not {name}" for name, holds in OF_GRANTS.items() if not holds(state, programme)
        ]
    return found


def missing(witness: Witness, stores: Stores, doomed: int) -> list[str]:
    """What was said or told and not yet decided by everyone who reads it; empty when the world is drained."""
    found = [gap for seen in witness.services.values() for gap in _gaps(seen, witness.told)]
    found += [f"{name}: {len(s.tables['parked'])} parked" for name, s in stores.items() if s.tables["parked"]]
    found += [f"{name}: {len(s.waiting)} rows wait in the outbox" for name, s in stores.items() if s.waiting]
    found += [f"{name}: {n} members wait for messages" for name, s in stores.items() if (n := len(s.tables["queue"]))]
    found += [f"{name}: work is due" for name, s in stores.items() if _is_due(s)]
    discarded = sum(len(seen.discarded) for seen in witness.services.values())
    return found if discarded == doomed else [*found, f"{discarded} events discarded, {doomed} were hopeless"]


def disagreements(stores: Stores, programme: Programme) -> list[str]:
    """Where the services, all being quiet, say different things of one member."""
    accounts, views = _states(stores, "points-ledger"), _states(stores, "member-view")
    tiers, grants = _states(stores, "tier-engine"), _states(stores, "benefits")
    alone, today = (
        [t for t in tiers.values() if t.merged_into is None],
        stores["tier-engine"].tables["calendar"].get(True),
    )
    return [
        *(f"{m}: the view shows other balances" for m in accounts if not _shows(views.get(m), accounts[m])),
        *(f"{m}: other tiers in benefits" for m, t in tiers.items() if grants[m].timeline != t.timeline),
        *(f"{m}: other tiers in the mall" for m, t in tiers.items() if _in_the_mall(stores, m) != t.timeline),
        *(
            f"{t.member_id}: not covered alike"
            for t in alone
            if not covered_alike(t, grants[t.member_id], programme, today)
        ),
        *(
            f"{t.member_id}: another risk"
            for t in alone
            if not risk_is_shown(t, views.get(t.member_id), programme, today)
        ),
        *(f"{t.member_id}: another lapse" for t in alone if not lapse_is_shown(t, views.get(t.member_id), programme)),
        *(found for p in _policies(stores) for found in whose_cover.differences(p, tiers, grants)),
        *(found for p in _policies(stores) for found in whose_cover.astray(p, grants)),
        *(f"{m}: other tiers in the ledger" for m, t in tiers.items() if _tiers(accounts.get(m)) != _steps(t.timeline)),
    ]


def _states(stores: Stores, service: str) -> dict[str, Any]:
    return stores[service].tables["states"]


def _policies(stores: Stores) -> list[PolicyState]:
    return [s for s in _states(stores, "policy-sync").values() if isinstance(s, PolicyState)]


def _in_the_mall(stores: Stores, member: str) -> Any:
    customer = stores["mall"].tables["states"].get(CUSTOMER + member)
    return () if customer is None else customer.timeline


def _gaps(seen: Seen, told: Counter[str]) -> Iterator[str]:
    name = seen.service.name
    for kind, count in told.items():
        reads = name in TOPIC_OF[kind].consumers and TYPES[kind] in seen.service.rules
        if reads and seen.decided[kind] != count:
            yield f"{name}: {seen.decided[kind]} of {count} {kind} decided"


def _is_due(store: Store) -> bool:
    today = store.tables["calendar"].get(True)
    return any(keys and today is not None and day <= today for day, keys in store.due.items())


def _wrong_accounts(accounts: Mapping[str, Account]) -> Iterator[str]:
    for member, account in accounts.items():
        facts = [(t.wallet, t.rule, t.fact, t.source_id) for t in account.lots.values()]
        if len(set(facts)) < len(facts):
            yield f"{member}: a fact earned twice: {Counter(facts).most_common(1)}"
        for lot in account.lots.values():
            if lot.granted != lot.remaining + lot.held + lot.spent + lot.reversed + lot.expired:
                yield f"{member}: lot {lot.no} is not conserved"
        balances = account.balances
        negative = min(balances.values()) < 0
        for debt, spendable in _SIDES:
            if negative or (balances[debt] and balances[spendable]):
                yield f"{member}: {debt} {balances[debt]}, {spendable} {balances[spendable]}, none may be below zero"


def _wrong_tiers(stores: Stores, programme: Programme) -> Iterator[str]:
    for member, state in _states(stores, "tier-engine").items():
        life, stored = live(state.terms, state.growth, programme.tiers), Stored(state, (None,) * 5, ())
        if not timelines_recompute_alike(stored, life) or not next_changes_are_due(stored, life):
            yield f"{member}: the tier is not what terms and growth come to"


def _shows(view: Any, account: Account) -> bool:
    for wallet, (available, pending, held, debt) in _SHOWN:
        kept = account.balances
        purse = view.purses.get(wallet) if view is not None else None
        shown = _NOTHING if purse is None else (purse.available, purse.pending, purse.held, purse.debt)
        if shown != (kept[available], kept[pending], kept[held], kept[debt]):
            return False
    return True


def _steps(timeline: Any) -> tuple[Any, ...]:
    return tuple((step.effective, step.tier) for step in timeline)


def _tiers(account: Account | None) -> tuple[Any, ...]:
    return () if account is None else account.memory.tiers


def outcome(stores: Stores) -> dict[str, Any]:
    """What members have in the end, without what only the order between topics decides: numbers of lots, ids of causes."""
    accounts, views = _states(stores, "points-ledger"), _states(stores, "member-view")
    tiers, grants = _states(stores, "tier-engine"), _states(stores, "benefits")
    return {
        "policies": {s.policy_no: (s.policy, s.told) for s in _policies(stores)},
        "tiers": {m: (s.timeline, s.due_on, s.merged_into) for m, s in tiers.items()},
        "accounts": {
            m: (a.balances, a.memory.tiers, sorted(map(_earned, a.lots.values()))) for m, a in accounts.items()
        },
        "grants": {
            m: {i: (g.benefit, g.granted_on, g.revoked_on, g.used) for i, g in s.grants.items()}
            for m, s in grants.items()
        },
        "views": {m: (v.purses, v.standing) for m, v in views.items()},
    }


def _earned(lot: Lot) -> tuple[Any, ...]:
    return (lot.wallet, lot.rule, lot.fact, str(lot.earned_on), lot.granted, lot.standing, lot.remaining, lot.expired)
