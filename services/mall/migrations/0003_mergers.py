"""Which number a member's was given up for."""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE members
  ADD COLUMN merged_into text COLLATE "C",          -- the number this one was given up for
  ADD COLUMN tied_at     timestamptz,               -- when that was
  ADD COLUMN ties_no     integer NOT NULL DEFAULT 0; -- the newest that was told of whose number it is
CREATE INDEX members_merged ON members (merged_into) WHERE merged_into IS NOT NULL;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), COLUMNS)


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE members DROP COLUMN merged_into, DROP COLUMN tied_at, DROP COLUMN ties_no")
