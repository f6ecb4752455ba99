"""A row is there from its member's first change on, which is version 1."""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE member_view ALTER COLUMN version SET DEFAULT 1")


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE member_view ALTER COLUMN version SET DEFAULT 0")
