"""Who settled a difference, and why."""

from alembic import op
from tenure.database import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE differences ADD COLUMN settled_by text, ADD COLUMN settled_why text")


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE differences DROP COLUMN settled_by, DROP COLUMN settled_why")
