"""What is told late of a number that was given up is found, and brought to who remains."""

from alembic import op
from tenure.database import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHANGE = """
ALTER TABLE member ADD COLUMN astray boolean NOT NULL DEFAULT false;  -- something of the person's lies under another number
CREATE INDEX member_astray ON member (member_id) WHERE astray;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGE)


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE member DROP COLUMN astray")
