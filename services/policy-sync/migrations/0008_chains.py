"""What a policy takes from those that it continues: not their first day only, but their cover and losses, for years that span both."""

from alembic import op
from tenure.database import run_sql

revision = "0008"
down_revision = "0007"

TABLES = """
ALTER TABLE policies
  ADD COLUMN links json NOT NULL DEFAULT '[]',  -- the policies that it continues, nearest first, as last told
  DROP COLUMN inherited;
INSERT INTO stale (policy_no) SELECT policy_no FROM policies WHERE previous_policy_no IS NOT NULL ORDER BY policy_no;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE policies DROP COLUMN links, ADD COLUMN inherited date")
