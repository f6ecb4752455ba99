"""A note on a policy says which number became whose, so that whoever had the policy in between can be told."""

from alembic import op
from tenure.database import run_sql

revision = "0009"
down_revision = "0008"

COLUMNS = """
ALTER TABLE stale
  ADD COLUMN merged_id text,    -- the number that was merged, or parted again
  ADD COLUMN survivor_id text;  -- into whom, or from whom; null: nothing was told of it
"""


def upgrade() -> None:
    run_sql(op.get_bind(), COLUMNS)


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE stale DROP COLUMN merged_id, DROP COLUMN survivor_id")
