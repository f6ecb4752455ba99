"""The journal played again, from nothing: what every account, lot and hold must be by its entries, against what is stored.

The invariant: each statement derives a figure from `transfers` alone and names the rows that differ; together with the seals (which
keep what is written once) they leave no column of an entry, a balance, a lot's figures or a hold's that could be changed unseen.
What no entry implies is not looked at: the day an account has lived to and what it remembers, where a reversal took its points and
what a cap left of a lot, and the reference and times of a hold.
"""

from typing import Any, Final

DIFFERENT_MAX: Final = 20

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
       OR l.origin = '' AND l.expired <> coalesce(t.expired, 0)
       OR l.origin = '' AND l.spent <> coalesce(t.spent, 0) + CASE l.rule WHEN 'refund_grace' THEN l.granted ELSE 0 END
       OR l.origin = '' AND l.rule <> 'refund_grace' AND l.granted <> coalesce(t.granted, 0)"""
MOVED: Final = """
    SELECT 'lot ' || l.member_id || ':' || l.lot_no || ': it is not what moved here from ' || l.origin
    FROM lots l LEFT JOIN moved_lots m ON l.origin = m.member_id || ':' || m.lot_no
    WHERE l.origin <> '' AND
      (l.wallet, l.rule, l.fact, l.granted, l.earned_on, l.activates_on, coalesce(l.expires_on, 'infinity'), l.rules_version,
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
OWNERS: Final = """
    SELECT 'hold ' || h.hold_id || ': its member has no entry of it'
    FROM holds h WHERE NOT EXISTS (
      SELECT FROM transfers t WHERE t.member_id = h.member_id AND t.hold_id = h.hold_id)
    AND NOT EXISTS (SELECT FROM transfers t WHERE t.member_id = h.member_id AND t.kind = 'merge')"""
ONE_EFFECT: Final = """
    SELECT 'account ' || member_id || ': ' || rule || ' earned more than once for ' || fact || ' by ' || source_id
    FROM lots GROUP BY member_id, wallet, rule, fact, source_id HAVING count(*) > 1"""
ONE_ROW: Final = """
    SELECT 'account ' || member_id || ': it is there twice' FROM accounts GROUP BY member_id HAVING count(*) > 1
    UNION ALL SELECT 'hold ' || hold_id || ': it is there twice' FROM holds GROUP BY hold_id HAVING count(*) > 1"""
EVERY: Final = (ENTRIES_COUNT, LOTS_COUNT, NEVER_NEGATIVE, LOTS, MOVED, HOLDS, OWNERS, ONE_EFFECT, ONE_ROW)


async def differences(pool: Any) -> list[str]:
    """What is stored and is not what the entries come to, a sentence each; a bounded number of each kind."""
    found: list[str] = []
    for statement in EVERY:
        found += [row[0] for row in await pool.fetch(f"{statement} LIMIT {DIFFERENT_MAX}")]
    return found
