"""Where the calendar stood when the newest fact of a policy of history alone came: from then on it lives."""

from alembic import op
from tenure.database import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE policies ADD COLUMN heard_on date")


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE policies DROP COLUMN heard_on")
