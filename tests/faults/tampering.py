"""For every invariant of `verify`, one change of a stored row that breaks it: an invariant nobody can break says nothing.

The changes are made behind the write door, with the constraints and triggers taken away that would refuse them. Some break more than
the invariant they are written for; that one must be named.
"""

import json
from collections.abc import Callable
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from member_view.rules.render import now
from member_view.rules.view import View
from member_view.store import decode
from tier_engine.rules import Member
from tier_engine.store import unpack


class Tamper(NamedTuple):
    """Where, which table is to be put back, and what is done: SQL, or a change of one state."""

    service: str
    table: str
    change: "str | Callable[[asyncpg.Connection], Any]"


async def unguarded(conn: asyncpg.Connection) -> None:
    """Take away what would refuse a wrong row. The database is not to be used for anything else after this."""
    rows = await conn.fetch(
        """SELECT conrelid::regclass::text AS of, quote_ident(conname) AS name FROM pg_constraint
           WHERE contype IN ('c', 'u', 'f') AND connamespace = 'public'::regnamespace"""
    )
    for row in rows:
        await conn.execute(f"ALTER TABLE {row['of']} DROP CONSTRAINT IF EXISTS {row['name']} CASCADE")
    await conn.execute("SET session_replication_role = replica")


async def tamper(conn: asyncpg.Connection, what: Tamper) -> None:
    await conn.execute(f"CREATE TABLE kept AS TABLE {what.table}")
    if isinstance(what.change, str):
        done = await conn.execute(what.change)
        assert not done.endswith(" 0"), f"nothing there to tamper with: {what.change}"
    else:
        await what.change(conn)


async def put_back(conn: asyncpg.Connection, what: Tamper) -> None:
    await conn.execute(f"TRUNCATE {what.table}")
    await conn.execute(f"INSERT INTO {what.table} OVERRIDING SYSTEM VALUE SELECT * FROM kept")
    await conn.execute("DROP TABLE kept")


def of_a_member(change: Callable[[Member], Member | None]) -> Callable[[asyncpg.Connection], Any]:
    """Change the tier-engine's state of the first member that `change` finds fit."""

    async def do(conn: asyncpg.Connection) -> None:
        for row in await conn.fetch("SELECT member_id, state FROM members WHERE state IS NOT NULL ORDER BY member_id"):
            if (changed := change(unpack(row["state"]))) is not None:
                sql = "UPDATE members SET state = $2 WHERE member_id = $1"
                await conn.execute(sql, row["member_id"], msgspec.msgpack.encode(changed))
                return
        raise AssertionError("no member to tamper with")

    return do


def of_a_view(change: Callable[[View], View | None]) -> Callable[[asyncpg.Connection], Any]:
    """Change what member-view has of the first member that `change` finds fit."""

    async def do(conn: asyncpg.Connection) -> None:
        for row in await conn.fetch("SELECT member_id, state FROM member_view WHERE state <> '' ORDER BY member_id"):
            if (changed := change(decode(row["state"]))) is not None:
                sql = "UPDATE member_view SET state = $2 WHERE member_id = $1"
                await conn.execute(sql, row["member_id"], msgspec.msgpack.encode(changed))
                return
        raise AssertionError("no row to tamper with")

    return do


def of_a_grant(fits: Callable[[dict[str, Any]], object], **fields: Any) -> Callable[[asyncpg.Connection], Any]:
    """Change one grant of a member's benefits."""

    async def do(conn: asyncpg.Connection) -> None:
        for row in await conn.fetch("SELECT member_id, state FROM members WHERE state <> '' ORDER BY member_id"):
            state = json.loads(row["state"])
            for grant in state.get("grants", {}).values():
                if fits(grant):
                    grant.update(fields)
                    sql = "UPDATE members SET state = $2 WHERE member_id = $1"
                    await conn.execute(sql, row["member_id"], json.dumps(state).encode())
                    return
        raise AssertionError("no grant to tamper with")

    return do


async def _a_use_of_a_stranger(conn: asyncpg.Connection) -> None:
    row = await conn.fetchrow("SELECT member_id, state FROM members WHERE state <> '' ORDER BY member_id LIMIT 1")
    state = json.loads(row["state"])
    use = {"id": "u", "grant_id": "nobody.home_safety.20180101", "benefit": "home_safety", "on": "2018-01-01"}
    state["uses"] = [*state.get("uses", ()), use]
    sql = "UPDATE members SET state = $2 WHERE member_id = $1"
    await conn.execute(sql, row["member_id"], json.dumps(state).encode())


async def _without_claims(conn: asyncpg.Connection) -> None:
    """Make benefits forget the claims of everyone."""
    for row in await conn.fetch("SELECT member_id, state FROM members WHERE state <> ''"):
        state = json.loads(row["state"]) | {"claims": {}}
        sql = "UPDATE members SET state = $2 WHERE member_id = $1"
        await conn.execute(sql, row["member_id"], json.dumps(state).encode())


def _other_tier(member: Member) -> Member | None:
    if not member.timeline:
        return None
    first = msgspec.structs.replace(member.timeline[0], tier="diamond")
    return msgspec.structs.replace(member, timeline=(first, *member.timeline[1:]))


def _without_policies(view: View) -> View | None:
    shown = view.merged_into is None and not view.erased and now(view).covered
    return msgspec.structs.replace(view, terms={}) if shown else None


def _uncovered(member: Member) -> Member | None:
    return msgspec.structs.replace(member, terms=()) if any(t.covers for t in member.terms) else None


def _about_to_drop(view: View) -> View | None:
    if view.merged_into is not None or view.erased or view.standing.since is None:
        return None
    risky = msgspec.structs.replace(view.standing, drops_to="basic", drops_on=date(1999, 1, 1))
    return msgspec.structs.replace(view, standing=risky)


def _not_due(member: Member) -> Member | None:
    return msgspec.structs.replace(member, due_on=None) if member.due_on and not member.merged_into else None


FACTS, TIERS, LEDGER, BENEFITS = "policy-sync", "tier-engine", "points-ledger", "benefits"
MALL, NOTIFIER, VIEW = "mall", "notifier", "member-view"
_COPY_FACT = "INSERT INTO facts (key, type, source, id, time, effective, backfill, data) SELECT {} FROM facts LIMIT 1"
_ONE_ORDER = "order_id = (SELECT min(order_id) FROM orders WHERE status = '{}')"
_A_MERGER_NOBODY_HEARD_OF = (
    "INSERT INTO mergers (merged_id, survivor_id, type, source, id, time, backfill, data) "
    "SELECT member_id, 'H-99', 'CustomerMerged', '/core', 'x', now(), false, json_build_object("
    "'member_id', 'H-99', 'merged_id', member_id, 'on', '2018-12-31') FROM members"
)
_MESSAGE = "message_id = (SELECT min(message_id) FROM message)"
_A_TRANSFER = (
    "INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id) "
    "SELECT member_id, 99999, 'points', {}, {}, 0, {}, '2018-01-01', 'c', '' FROM accounts LIMIT 1"
)

TAMPERS: Final[dict[str, Tamper]] = {
    # policy-sync: its tables against a fold of the facts.
    "facts_no_fact_is_recorded_twice": Tamper(
        FACTS, "facts", _COPY_FACT.format("key, type, source, id, time, effective, backfill, data")
    ),
    "facts_every_fact_has_its_policy": Tamper(
        FACTS, "facts", _COPY_FACT.format("'P-nobody', type, source, 'x', time, effective, backfill, data")
    ),
    "facts_versions_count_the_facts": Tamper(FACTS, "policies", "UPDATE policies SET version = version + 1"),
    "facts_policies_equal_the_facts": Tamper(FACTS, "policies", "UPDATE policies SET member_id = 'H-99'"),
    "facts_ties_are_as_known": Tamper(
        FACTS,
        "policies",
        "UPDATE policies SET survivors = json_build_object(member_id, 'H-9') WHERE member_id > ''",
    ),
    "facts_terms_equal_the_facts": Tamper(FACTS, "terms", "UPDATE terms SET premium_fen = premium_fen + 1"),
    "facts_claims_equal_the_facts": Tamper(FACTS, "claims", "UPDATE claims SET paid_fen = paid_fen + 1"),
    "facts_milestones_are_those_implied": Tamper(FACTS, "milestones", "DELETE FROM milestones"),
    "facts_nothing_due_is_left": Tamper(FACTS, "policies", "UPDATE policies SET due_on = '2000-01-01'"),
    # tier-engine: its rows against a life lived anew.
    "tiers_timelines_recompute_alike": Tamper(TIERS, "members", of_a_member(_other_tier)),
    "tiers_next_changes_are_due": Tamper(TIERS, "members", of_a_member(_not_due)),
    "tiers_newest_decisions_are_the_timelines": Tamper(TIERS, "decisions", "DELETE FROM decisions"),
    "tiers_columns_say_the_state": Tamper(TIERS, "members", "UPDATE members SET tier = 'ruby'"),
    "tiers_nothing_due_is_left": Tamper(TIERS, "members", "UPDATE members SET due_on = '2000-01-01'"),
    # points-ledger: what is stored against the journal.
    "ledger_every_transfer_moves_something": Tamper(
        LEDGER, "transfers", _A_TRANSFER.format("'issuance'", "'pending'", "1, 'grant'")
    ),
    "ledger_what_was_granted_is_accounted_for": Tamper(
        LEDGER, "transfers", "UPDATE transfers SET kind = 'else' WHERE kind = 'grant'"
    ),
    "ledger_balances_are_the_sums_of_the_journal": Tamper(
        LEDGER, "accounts", "UPDATE accounts SET points_available = points_available + 1"
    ),
    "ledger_balances_are_the_sums_of_the_lots": Tamper(LEDGER, "lots", "UPDATE lots SET remaining = remaining + 1"),
    "ledger_every_lot_holds_what_its_transfers_left": Tamper(
        LEDGER, "lots", "UPDATE lots SET remaining = remaining + 1, granted = granted + 1"
    ),
    "ledger_every_lot_is_conserved": Tamper(LEDGER, "lots", "UPDATE lots SET spent = spent + 1"),
    "ledger_no_balance_is_negative": Tamper(LEDGER, "accounts", "UPDATE accounts SET growth_debt = -1"),
    "ledger_a_debt_leaves_nothing_available": Tamper(
        LEDGER, "accounts", "UPDATE accounts SET points_debt = 1 WHERE points_available > 0"
    ),
    "ledger_mergers_move_and_make_nothing": Tamper(
        LEDGER, "transfers", "UPDATE transfers SET debit = 'merger' WHERE kind = 'grant'"
    ),
    "ledger_held_points_are_the_open_holds": Tamper(LEDGER, "holds", "UPDATE holds SET state = 'held'"),
    # benefits: grants against tiers, and against a settling anew.
    "benefits_grants_equal_tiers": Tamper(
        BENEFITS, "members", of_a_grant(lambda g: not g.get("revoked_on"), revoked_on="2018-01-01")
    ),
    "benefits_grants_recompute_alike": Tamper(
        BENEFITS, "members", of_a_grant(lambda g: not g.get("is_kept") and not g.get("request_id"), used=99)
    ),
    "benefits_no_quota_exceeded": Tamper(
        BENEFITS, "members", of_a_grant(lambda g: g.get("quota") is not None and not g.get("is_kept"), used=99)
    ),
    "benefits_extensions_endorsed": Tamper(
        BENEFITS, "members", of_a_grant(lambda g: g.get("request_id"), status="active")
    ),
    "benefits_uses_are_of_the_person": Tamper(BENEFITS, "members", _a_use_of_a_stranger),
    # mall: stock, codes and orders.
    "mall_stock_conserved": Tamper(MALL, "shelves", "UPDATE shelves SET available = available + 1"),
    "mall_stock_accounted_for": Tamper(MALL, "shelf_entries", "UPDATE shelf_entries SET units = units + 1"),
    "mall_codes_are_the_stock": Tamper(MALL, "codes", "DELETE FROM codes WHERE order_id IS NULL"),
    "mall_codes_match_orders": Tamper(MALL, "codes", "UPDATE codes SET order_id = NULL WHERE order_id IS NOT NULL"),
    "mall_codes_only_with_live_orders": Tamper(
        MALL, "codes", "UPDATE codes SET order_id = (SELECT min(order_id) FROM orders WHERE status = 'refunded')"
    ),
    "mall_orders_whole": Tamper(
        MALL, "orders", f"UPDATE orders SET next_try_at = now() WHERE {_ONE_ORDER.format('closed')}"
    ),
    "mall_history_whole": Tamper(MALL, "order_steps", "DELETE FROM order_steps WHERE status = 'closed'"),
    "mall_seen_codes_stay_paid": Tamper(
        MALL, "orders", f"UPDATE orders SET viewed_on = '2018-12-31' WHERE {_ONE_ORDER.format('refunded')}"
    ),
    # notifier: each message once, at its time, to whom it may go.
    "messages_no_change_told_twice": Tamper(
        NOTIFIER, "message", "UPDATE message SET member_id = 'H-01', dedupe = 'the same'"
    ),
    "messages_none_in_quiet_hours": Tamper(
        NOTIFIER, "message", f"UPDATE message SET sent_at = '2018-12-31 23:30+08' WHERE {_MESSAGE}"
    ),
    "messages_daily_cap_kept": Tamper(
        NOTIFIER, "message", "UPDATE message SET capped = true, member_id = 'H-01', sent_at = '2018-12-31 12:00+08'"
    ),
    "messages_none_from_backfill": Tamper(NOTIFIER, "message", f"UPDATE message SET backfill = true WHERE {_MESSAGE}"),
    "messages_none_before_its_time": Tamper(
        NOTIFIER, "message", f"UPDATE message SET scheduled_for = sent_at + interval '1 day' WHERE {_MESSAGE}"
    ),
    "messages_none_to_the_erased": Tamper(NOTIFIER, "member", "UPDATE member SET erased = true"),
    # Between the services.
    "views_show_the_ledgers_balances": Tamper(
        LEDGER, "transfers", "UPDATE transfers SET amount = amount + 1 WHERE kind = 'grant' AND wallet = 'points'"
    ),
    "views_show_the_tiers": Tamper(VIEW, "member_view", "UPDATE member_view SET rendered = NULL"),
    "what_is_told_is_taken": Tamper(TIERS, "inbox", "DELETE FROM inbox"),
    "each_premium_is_told_on": Tamper(
        FACTS, "outbox", "DELETE FROM outbox WHERE seq > 1 + (SELECT min(seq) FROM outbox)"
    ),
    "each_premium_is_earned_once": Tamper(
        LEDGER, "lots", "UPDATE lots SET fact = fact || '?' WHERE source_type = 'premium.paid'"
    ),
    "each_holder_has_their_cover": Tamper(TIERS, "members", of_a_member(_uncovered)),
    "each_claim_is_with_its_member": Tamper(BENEFITS, "members", _without_claims),
    "numbers_given_up_hold_nothing": Tamper(FACTS, "mergers", _A_MERGER_NOBODY_HEARD_OF),
    "numbers_given_up_lead_to_their_person": Tamper(FACTS, "mergers", _A_MERGER_NOBODY_HEARD_OF),
    "benefits_follow_the_tiers": Tamper(BENEFITS, "members", "UPDATE members SET state = '' WHERE member_id = 'H-01'"),
    "benefits_know_who_is_covered": Tamper(
        BENEFITS,
        "members",
        """UPDATE members SET state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, '{terms}', '{}')::text, 'UTF8')
           WHERE state <> ''""",
    ),
    "views_show_who_has_lapsed": Tamper(VIEW, "member_view", of_a_view(_without_policies)),
    "views_show_tiers_at_risk": Tamper(VIEW, "member_view", of_a_view(_about_to_drop)),
    "the_mall_follows_the_tiers": Tamper(MALL, "members", "UPDATE members SET timeline = '[]'"),
    "orders_settle_their_holds": Tamper(
        LEDGER, "holds", "UPDATE holds SET state = 'released' WHERE state = 'captured'"
    ),
    "every_hold_has_its_order": Tamper(
        LEDGER, "holds", "UPDATE holds SET hold_id = 'O-nobody' WHERE hold_id = (SELECT min(hold_id) FROM holds)"
    ),
    "no_hold_is_captured_twice": Tamper(
        LEDGER, "transfers", "UPDATE transfers SET amount = 2 * amount WHERE kind = 'capture'"
    ),
    "each_message_is_announced_once": Tamper(
        NOTIFIER, "message", f"UPDATE message SET message_id = message_id || '?' WHERE {_MESSAGE}"
    ),
    "texts_sent_are_those_of_messages": Tamper(NOTIFIER, "message", "UPDATE message SET sms = 'sent'"),
    "everything_published_is_read": Tamper(VIEW, "progress", "UPDATE progress SET next_offset = next_offset - 1"),
    "nothing_is_parked": Tamper(
        MALL,
        "parked",
        'INSERT INTO parked (event_key, key, topic, partition, "offset", headers, value, code, detail) '
        "VALUES (gen_random_uuid(), 'k', 't', 0, 0, '', '', 'c', 'd')",
    ),
}
