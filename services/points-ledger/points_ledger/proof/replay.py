"""The journal played again, from nothing: what every account, lot and hold must be by its entries, against what is stored.

The invariant: each statement derives a figure from `transfers` alone and names the rows that differ; together with the seals (which
keep what is written once) they leave no column of an entry, a balance, a lot's figures or a hold's that could be changed unseen.
Beside them, what stands next to the entries must agree with them: where reversals took points, corrections by hand, what campaigns
were allotted, the days an account lives by. What no entry implies is listed with its reason in `tests/test_tampering.py`.
"""

from typing import Any, Final

DIFFERENT_MAX: Final = 20
_MERGED: Final = """
    SELECT member_id FROM transfers WHERE kind = 'merge' UNION SELECT member_id FROM moved_lots
    UNION SELECT member_id FROM lots WHERE origin <> ''"""
"""Members who took over or became another, be it with lots that had nothing left."""

ENTRIES_COUNT: Final = """
    SELECT 'account ' || member_id || ': entries are not numbered from 1 to ' || coalesce(a.transfers_no, 0)
    FROM accounts a FULL JOIN (
      SELECT member_id, count(*) AS entries, min(transfer_no) AS first, max(transfer_no) AS last FROM transfers GROUP BY 1
    ) t USING (member_id)
    WHERE (coalesce(a.transfers_no, -1), coalesce(a.transfers_no, -1)) <> (coalesce(t.entries, 0), coalesce(t.last, 0))
       OR coalesce(t.first, 1) <> 1"""
LOTS_COUNT: Final = """
    SELECT 'account ' || member_id || ': lots are not numbered from 1 to ' || coalesce(a.lots_no, 0)
    FROM accounts a FULL JOIN (
      SELECT member_id, count(*) AS lots, max(lot_no) AS last
      FROM (SELECT member_id, lot_no FROM lots UNION ALL SELECT member_id, lot_no FROM moved_lots) every GROUP BY 1
    ) l USING (member_id)
    WHERE (coalesce(a.lots_no, -1), coalesce(a.lots_no, -1)) <> (coalesce(l.lots, 0), coalesce(l.last, 0))"""
NEVER_NEGATIVE: Final = """
    SELECT 'account ' || member_id || ': ' || wallet || ' ' || ledger || ' is negative at entry ' || min(transfer_no)
    FROM (
      SELECT member_id, wallet, ledger, transfer_no,
             sum(amount) OVER (PARTITION BY member_id, wallet, ledger ORDER BY transfer_no) AS stands
      FROM (
        SELECT member_id, wallet, transfer_no, s.ledger, CASE s.ledger WHEN 'debt' THEN -s.amount ELSE s.amount END AS amount
        FROM transfers t CROSS JOIN LATERAL (VALUES (t.debit, -t.amount), (t.credit, t.amount)) s (ledger, amount)
        WHERE s.ledger IN ('pending', 'available', 'held', 'debt')) sides) running
    WHERE stands < 0 GROUP BY member_id, wallet, ledger"""
LOTS: Final = """
    SELECT 'lot ' || member_id || ':' || lot_no || ': its figures are not those of its entries'
    FROM lots l LEFT JOIN (
      SELECT member_id, lot_no, count(DISTINCT wallet) AS wallets, min(wallet) AS of_wallet,
        sum(CASE WHEN credit IN ('pending', 'available') THEN amount ELSE 0 END
          - CASE WHEN debit IN ('pending', 'available') THEN amount ELSE 0 END) AS remaining,
        sum(CASE credit WHEN 'held' THEN amount ELSE 0 END - CASE debit WHEN 'held' THEN amount ELSE 0 END) AS held,
        sum(CASE credit WHEN 'redemption' THEN amount ELSE 0 END - CASE debit WHEN 'redemption' THEN amount ELSE 0 END) AS spent,
        sum(CASE credit WHEN 'breakage' THEN amount ELSE 0 END - CASE debit WHEN 'breakage' THEN amount ELSE 0 END) AS expired,
        sum(amount) FILTER (WHERE kind = 'grant' OR (kind = 'adjust' AND debit = 'adjustment')) AS granted
      FROM transfers WHERE lot_no > 0 GROUP BY 1, 2
    ) t USING (member_id, lot_no)
    WHERE l.granted <> l.remaining + l.held + l.spent + l.reversed + l.expired
       OR (coalesce(t.wallets, 1), coalesce(t.of_wallet, l.wallet)) <> (1, l.wallet)
       OR (l.remaining, l.held) <> (coalesce(t.remaining, 0), coalesce(t.held, 0))
       -- What moved here keeps what was spent, expired and granted elsewhere; a top-up of it was granted here.
       OR (l.origin = '' OR t.granted > 0)
          AND (l.granted, l.spent, l.expired)
              <> (CASE l.rule WHEN 'refund_grace' THEN l.granted ELSE coalesce(t.granted, 0) END,
                  coalesce(t.spent, 0) + CASE l.rule WHEN 'refund_grace' THEN l.granted ELSE 0 END, coalesce(t.expired, 0))"""
EMPTY: Final = """
    SELECT 'lot ' || member_id || ':' || lot_no || ': nothing was granted, and it has no place among the entries'
    FROM (SELECT member_id, lot_no, granted FROM lots UNION ALL SELECT member_id, lot_no, granted FROM moved_lots) l
    WHERE granted = 0 AND NOT EXISTS (SELECT FROM empty_lots x WHERE (x.member_id, x.lot_no) = (l.member_id, l.lot_no))"""
MOVED: Final = """
    SELECT 'lot ' || l.member_id || ':' || l.lot_no || ': it is not what moved here from ' || l.origin
    FROM lots l LEFT JOIN moved_lots m ON l.origin = m.member_id || ':' || m.lot_no
    WHERE l.origin <> ''
      -- A top-up from before top-ups had no origin has that of what it tops up; its grant says that it never moved.
      AND NOT EXISTS (SELECT FROM transfers t WHERE t.member_id = l.member_id AND t.lot_no = l.lot_no AND t.kind = 'grant')
      AND (l.wallet, l.rule, l.fact, l.granted, l.earned_on, l.activates_on, coalesce(l.expires_on, 'infinity'), l.rules_version,
       l.source_type, l.source_id, l.remembered_until, l.base, coalesce(l.policy_no, ''), coalesce(l.term_no, -1), l.status,
       l.status_percent, l.line_percent, l.campaign_percent, l.campaign)
      IS DISTINCT FROM
      (m.wallet, m.rule, m.fact, m.granted, m.earned_on, m.activates_on, coalesce(m.expires_on, 'infinity'), m.rules_version,
       m.source_type, m.source_id, m.remembered_until, m.base, coalesce(m.policy_no, ''), coalesce(m.term_no, -1), m.status,
       m.status_percent, m.line_percent, m.campaign_percent, m.campaign)"""
HOLDS: Final = """
    SELECT 'hold ' || hold_id || ': it is not what its entries come to'
    FROM holds h FULL JOIN (
      SELECT hold_id, count(DISTINCT wallet) AS wallets, min(wallet) AS of_wallet, min(effective) AS placed_on,
        coalesce(sum(amount) FILTER (WHERE kind = 'hold'), 0) AS points,
        coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0) AS captured,
        coalesce(sum(amount) FILTER (WHERE kind = 'release'), 0) AS released,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded
      FROM transfers WHERE hold_id <> '' GROUP BY 1
    ) t USING (hold_id)
    LEFT JOIN LATERAL (SELECT coalesce(sum((part->>1)::bigint), 0) AS points FROM jsonb_array_elements(h.parts) part) p ON true
    WHERE h.hold_id IS NULL OR t.hold_id IS NULL
       OR (1, h.wallet, h.placed_on, h.points, h.captured, h.refunded)
          <> (t.wallets, t.of_wallet, t.placed_on, t.points, t.captured, t.refunded)
       OR (h.state = 'held') <> (t.captured + t.released = 0)
       OR (h.state = 'captured') <> (t.captured > 0)
       OR t.captured + t.released NOT IN (0, t.points)
       OR p.points <> CASE h.state WHEN 'held' THEN h.points WHEN 'captured' THEN h.captured - h.refunded ELSE 0 END"""
OWNERS: Final = f"""
    SELECT 'hold ' || h.hold_id || ': its member has no entry of it'
    FROM holds h WHERE NOT EXISTS (
      SELECT FROM transfers t WHERE t.member_id = h.member_id AND t.hold_id = h.hold_id)
    AND h.member_id NOT IN ({_MERGED})"""
ONE_EFFECT: Final = """
    SELECT 'account ' || member_id || ': ' || rule || ' earned more than once for ' || fact || ' by ' || source_id
    FROM lots GROUP BY member_id, wallet, rule, fact, source_id HAVING count(*) > 1"""
ONE_ROW: Final = """
    SELECT 'account ' || member_id || ': it is there twice' FROM accounts GROUP BY member_id HAVING count(*) > 1
    UNION ALL SELECT 'hold ' || hold_id || ': it is there twice' FROM holds GROUP BY hold_id HAVING count(*) > 1
    UNION ALL SELECT 'budget ' || campaign || ': it is there twice' FROM budgets GROUP BY campaign HAVING count(*) > 1"""
TAKEN: Final = f"""
    SELECT 'account ' || member_id || ': what lots say was taken from lot ' || source || ' is not what its entries say'
    FROM (
      SELECT member_id, (part->>0)::int AS source, sum((part->>1)::bigint) AS taken
      FROM lots l, jsonb_array_elements(l.taken) part WHERE l.taken <> '[]' GROUP BY 1, 2
    ) said FULL JOIN (
      SELECT member_id, CASE WHEN 'debt' IN (debit, credit) THEN 0 ELSE lot_no END AS source,
             sum(CASE kind WHEN 'reverse' THEN amount ELSE -amount END) AS taken
      FROM transfers WHERE kind IN ('reverse', 'restore') GROUP BY 1, 2
    ) booked USING (member_id, source)
    WHERE coalesce(said.taken, 0) <> coalesce(booked.taken, 0)
      -- A merger numbers lots anew: what was taken before it names numbers of another account.
      AND coalesce(said.member_id, booked.member_id) NOT IN ({_MERGED})"""
REVOKED: Final = """
    SELECT 'lot ' || member_id || ':' || lot_no || ': it was taken back and still counts'
    FROM lots l WHERE revoked
      AND granted <> (SELECT coalesce(sum((part->>1)::bigint), 0) FROM jsonb_array_elements(l.taken) part)"""
LIVED: Final = """
    SELECT 'account ' || member_id || ': it has lived to ' || coalesce(lived_to::text, 'no day') || ', before its entries'
    FROM accounts a JOIN (
      SELECT member_id, max(effective) AS newest FROM transfers WHERE kind IN ('activate', 'expire', 'hold', 'capture') GROUP BY 1
    ) t USING (member_id)
    WHERE coalesce(lived_to < newest, true)"""
DUE: Final = """
    SELECT 'account ' || member_id || ': it is not due when its lots are'
    FROM accounts a JOIN (
      SELECT member_id, min(CASE WHEN activates_on > lived_to THEN activates_on
                                 WHEN coalesce(cut_on, expires_on) > lived_to THEN coalesce(cut_on, expires_on) END) AS next
      FROM lots JOIN accounts USING (member_id) WHERE remaining > 0 GROUP BY 1
    ) l USING (member_id)
    WHERE next IS NOT NULL AND (due_on IS NULL OR due_on > next OR due_on <= lived_to)"""
ADJUSTED: Final = """
    SELECT 'account ' || member_id || ': corrections by hand are not those that two persons approved'
    FROM (
      SELECT member_id, wallet, sum(points) AS points FROM adjustments
      WHERE state = 'approved' AND purpose IN ('correct', 'write_off') GROUP BY 1, 2
    ) said FULL JOIN (
      SELECT member_id, wallet, sum(CASE debit WHEN 'adjustment' THEN amount ELSE -amount END) AS points
      FROM transfers WHERE kind = 'adjust' GROUP BY 1, 2
    ) booked USING (member_id, wallet)
    WHERE coalesce(said.points, 0) <> coalesce(booked.points, 0)
    UNION ALL SELECT 'adjustment ' || adjustment_id || ': no lot came of it'
    FROM adjustments a WHERE state = 'approved' AND purpose = 'correct' AND points > 0
      AND NOT EXISTS (SELECT FROM lots l WHERE l.rule = 'adjustment' AND l.fact = adjustment_id)
    UNION ALL SELECT 'adjustment ' || adjustment_id || ': it is there twice'
    FROM adjustments GROUP BY adjustment_id HAVING count(*) > 1
    UNION ALL SELECT 'adjustment ' || adjustment_id || ': it names no two persons'
    FROM adjustments WHERE state = 'approved' AND (approved_by = '' OR approved_by = proposed_by)"""
ALLOTTED: Final = """
    SELECT 'budget ' || campaign || ': its lots were given ' || given || ' of ' || coalesce(allotted, 0) || ' allotted'
    FROM (
      SELECT campaign, sum(extra_max) AS given FROM (
        SELECT DISTINCT ON (member_id, rule, wallet, fact) campaign, extra_max FROM lots
        WHERE campaign IN (SELECT campaign FROM budgets) AND extra_max IS NOT NULL AND base > 0
        ORDER BY member_id, rule, wallet, fact, lot_no) firsts
      GROUP BY 1
    ) l FULL JOIN budgets b USING (campaign)
    WHERE coalesce(given, 0) > coalesce(allotted, 0) OR allotted > points_max OR (allotted > 0 AND given IS NULL)"""
EVERY: Final = (
    *(ENTRIES_COUNT, LOTS_COUNT, NEVER_NEGATIVE, LOTS, EMPTY, MOVED, HOLDS, OWNERS, ONE_EFFECT, ONE_ROW),
    *(TAKEN, REVOKED, LIVED, DUE, ADJUSTED, ALLOTTED),
)


async def differences(pool: Any) -> list[str]:
    """What is stored and is not what the entries come to, a sentence each; a bounded number of each kind."""
    found: list[str] = []
    for statement in EVERY:
        found += [row[0] for row in await pool.fetch(f"{statement} LIMIT {DIFFERENT_MAX}")]
    return found
