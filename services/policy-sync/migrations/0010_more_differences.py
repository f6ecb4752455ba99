"""Whether a control file differs in more than is kept."""

from alembic import op
from tenure.database import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE controls ADD COLUMN has_more boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE controls DROP COLUMN has_more")
