"""The loop written by hand knows what the ledger's rules make of a renewal day; otherwise it would be a floor of something else."""

from pathlib import Path
from typing import Any

from msgspec.structs import asdict
from points_ledger.rules.account import Account, Transfer
from points_ledger.service import SERVICE
from tenure import programme
from tenure.spine.codec import decode
from tenure.spine.log import Outgoing
from tenure_bench import facts
from tenure_bench.legs.by_hand import DECODERS, Poll
from tenure_bench.legs.set_based import LOT, TRANSFER

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = 24
NAMED = {"lot_no": "no", "transfer_no": "no"}


def by_the_rules(records: list[Outgoing]) -> tuple[dict[str, Account], list[Transfer]]:
    rules = programme.load(ROOT / "programme")
    accounts: dict[str, Account] = {}
    transfers: list[Transfer] = []
    for record in records:
        event = decode(record.headers, record.value)
        decided = SERVICE.decide(accounts.get(event.key), event, rules)
        accounts[event.key] = decided.state
        transfers += decided.rows
    return accounts, transfers


def by_hand(records: list[Outgoing]) -> Poll:
    poll = Poll({})
    for record in records:
        headers = dict(record.headers)
        kind = headers["ce_type"].decode()
        poll.take(DECODERS[kind].decode(record.value), kind, headers["ce_id"].decode(), headers["ce_time"])
    return poll


def row(columns: tuple[str, ...], member_id: str, struct: Any) -> tuple[Any, ...]:
    fields = {"member_id": member_id, **asdict(struct)}
    return tuple(fields[NAMED.get(name, name)] for name in columns if name != "taken")


def test_the_loop_grants_on_a_renewal_day_what_the_rules_grant() -> None:
    records = facts.renewal_days(range(MEMBERS))
    accounts, transfers = by_the_rules(records)
    poll = by_hand(records)
    assert len(records) == 4 * MEMBERS
    assert len(poll.lots) == MEMBERS * facts.LOTS_OF_A_RENEWAL_DAY
    ours = {row(LOT, account.member_id, lot) for account in accounts.values() for lot in account.lots.values()}
    taken, term_no, policy_no = LOT.index("taken"), LOT.index("term_no"), LOT.index("policy_no")
    assert ours == {tuple(v for n, v in enumerate(lot) if n != taken) for lot in poll.lots}
    assert {lot[policy_no] for lot in poll.lots} == {f"P-{member}" for member in accounts}
    assert None in {lot[term_no] for lot in poll.lots}, "a year without a claim belongs to no one term"
    assert [row(TRANSFER, t.member_id, t) for t in transfers] == poll.transfers
    for member, account in accounts.items():
        hand = poll.accounts[member]
        assert (account.due_on, account.lots_no, account.memory.terms) == (hand.due_on, hand.no, hand.memory)
        held = (account.balances[name] for name in ("points_pending", "points_available", "growth_available"))
        assert tuple(held) == (hand.pending, hand.available, hand.growth)
