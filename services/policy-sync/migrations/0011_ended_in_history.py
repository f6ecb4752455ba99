"""Policies of history that had run out before any day came are due, so that their end is told."""

from alembic import op
from tenure.database import run_sql

revision = "0011"
down_revision = "0010"

DUE = """
UPDATE policies SET due_on = ended.due_on
FROM (SELECT policy_no, max("end") + 1 AS due_on FROM terms WHERE status = 'in_force' GROUP BY policy_no) AS ended
WHERE policies.policy_no = ended.policy_no AND policies.due_on IS NULL
  AND NOT EXISTS (SELECT FROM milestones m WHERE m.policy_no = ended.policy_no AND m.kind = 'expired' AND m.stands)
"""


def upgrade() -> None:
    run_sql(op.get_bind(), DUE)


def downgrade() -> None:
    """Who is due needs no telling before: the next day finds nothing, or tells it."""
