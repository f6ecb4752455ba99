"""A message that came with another number of its reader's is known as such, so that it can go back."""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGE = "ALTER TABLE message ADD COLUMN handed_by text[] NOT NULL DEFAULT '{}'  -- by which numbers it came here, the last one last"


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGE)


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE message DROP COLUMN handed_by")
