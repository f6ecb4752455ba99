"""How the states' structs lie in their tables: one column a field, in the struct's own order, and the SQL that follows from it."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from points_ledger.rules.account import (
    BALANCES,
    AccountChange,
    AdjustmentUse,
    BudgetClaim,
    BudgetNews,
    Hold,
    Lot,
    Proposal,
    ReferralNews,
    Transfer,
    Unpaid,
)

Pairs = tuple[tuple[int, int], ...]
_encode: Final = msgspec.json.Encoder().encode
_pairs: Final = msgspec.json.Decoder(Pairs)

ACCOUNT: Final = {
    "member_id": "text",
    "lived_to": "date",
    "due_on": "date",
    "lots_no": "int",
    "transfers_no": "int",
    "memory": "bytea",
    **dict.fromkeys(BALANCES, "bigint"),
}
LOT: Final = {
    "lot_no": "int",
    "wallet": "text",
    "rule": "text",
    "fact": "text",
    "granted": "bigint",
    "remaining": "bigint",
    "earned_on": "date",
    "activates_on": "date",
    "expires_on": "date",
    "rules_version": "int",
    "source_type": "text",
    "source_id": "text",
    "remembered_until": "date",
    "base": "bigint",
    "held": "bigint",
    "spent": "bigint",
    "reversed": "bigint",
    "expired": "bigint",
    "policy_no": "text",
    "term_no": "int",
    "status": "text",
    "status_percent": "int",
    "line_percent": "int",
    "campaign_percent": "int",
    "revoked": "bool",
    "taken": "jsonb",
    "origin": "text",
    "campaign": "text",
    "extra_max": "bigint",
    "amount_max": "bigint",
    "capped_by": "text",
    "cut_on": "date",
}
TRANSFER: Final = {
    "member_id": "text",
    "transfer_no": "int",
    "wallet": "text",
    "debit": "text",
    "credit": "text",
    "amount": "bigint",
    "lot_no": "int",
    "kind": "text",
    "effective": "date",
    "cause": "text",
    "hold_id": "text",
}
HOLD: Final = {
    "hold_id": "text",
    "wallet": "text",
    "points": "bigint",
    "reference": "text",
    "state": "text",
    "parts": "jsonb",
    "placed_on": "date",
    "expires_at": "timestamptz",
    "refundable_until": "date",
    "captured": "bigint",
    "refunded": "bigint",
}
PROPOSAL: Final = {
    "adjustment_id": "text",
    "wallet": "text",
    "points": "bigint",
    "reason": "text",
    "ticket": "text",
    "proposed_by": "text",
    "state": "text",
    "approved_by": "text",
    "purpose": "text",
    "batch": "text",
}
CHANGE: Final = {
    "member_id": "text", "what": "text", "reason": "text", "actor": "text", "cause": "text", "effective": "date",
}  # fmt: skip
UNPAID: Final = {
    "member_id": "text", "day": "date", "kind": "text", "fact": "text", "activity_id": "text", "reason": "text",
    "limited_by": "text", "rules_version": "int",
}  # fmt: skip
NEWS: Final = {"member_id": "text", "policy_no": "text", "void": "bool"}
HOLD_CHANGES: Final = ("member_id", "state", "parts", "captured", "refunded")
LOT_CHANGES: Final = (
    "remaining",
    "held",
    "spent",
    "reversed",
    "expired",
    "revoked",
    "taken",
    "extra_max",
    "amount_max",
    "capped_by",
    "cut_on",
)
CLAIM: Final = {
    "member_id": "text",
    "lot_id": "text",
    "campaign": "text",
    "points": "bigint",
    "budget_points_max": "bigint",
}
USE: Final = {"day": "date", "role": "text", "who": "text", "points": "bigint", "points_max": "bigint"}
ALLOTTED: Final = {"member_id": "text", "lot_id": "text", "points": "bigint", "asked": "bigint"}

_TABLES: Final[tuple[tuple[type[msgspec.Struct], dict[str, str]], ...]] = (
    (Lot, LOT), (Transfer, TRANSFER), (Hold, HOLD), (Proposal, PROPOSAL), (ReferralNews, NEWS), (BudgetClaim, CLAIM),
    (BudgetNews, ALLOTTED), (AccountChange, CHANGE), (AdjustmentUse, USE), (Unpaid, UNPAID),
)  # fmt: skip
for struct, columns in _TABLES:
    assert len(struct.__struct_fields__) == len(columns), f"{struct.__name__} and its table differ"


def listed(columns: Iterable[str], prefix: str = "") -> str:
    return ", ".join(prefix + name for name in columns)


def unnested(columns: dict[str, str]) -> str:
    """`unnest` of one array a column, named alike, as `t`."""
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), 1))
    return f"unnest({arrays}) AS t ({listed(columns)})"


def inserted(table: str, columns: dict[str, str], conflict: str = "") -> str:
    return f"INSERT INTO {table} ({listed(columns)}) SELECT * FROM {unnested(columns)} {conflict}"


def updated(table: str, columns: dict[str, str], key: Sequence[str]) -> str:
    changes = ", ".join(f"{name} = t.{name}" for name in columns if name not in key)
    return f"UPDATE {table} SET {changes} FROM {unnested(columns)} WHERE " + " AND ".join(
        f"{table}.{name} = t.{name}" for name in key
    )


def arrays(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows turned into one array a column."""
    return [list(column) for column in zip(*rows, strict=True)]


def pairs_to_json(pairs: Pairs) -> str:
    return _encode(pairs).decode() if pairs else "[]"


def pairs_of_json(text: str) -> Pairs:
    return () if text == "[]" else _pairs.decode(text)
