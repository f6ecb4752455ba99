"""Tier rules that two persons published are followed; a row says by which version its words about tiers were written."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import CREATE_HEARD

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDED_BY = "ALTER TABLE member_view ADD COLUMN worded_by integer NOT NULL DEFAULT 0;  -- 0: before rows said so"


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE_HEARD + WORDED_BY)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE rules_heard; ALTER TABLE member_view DROP COLUMN worded_by")
