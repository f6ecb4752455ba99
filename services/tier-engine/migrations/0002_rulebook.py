"""Rules are published by two persons; members say by which set of versions they were judged, and are found by it."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import CREATE

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JUDGED_BY = """
ALTER TABLE members RENAME COLUMN rules_version TO judged_by;  -- a digest of all versions; 0: never judged
CREATE INDEX members_judged_by ON members (judged_by, member_id) WHERE state IS NOT NULL;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + JUDGED_BY)


def downgrade() -> None:
    run_sql(
        op.get_bind(),
        "DROP TABLE rule_log, rule_drafts; DROP INDEX members_judged_by; "
        "ALTER TABLE members RENAME COLUMN judged_by TO rules_version",
    )
