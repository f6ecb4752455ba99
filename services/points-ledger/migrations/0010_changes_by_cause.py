"""Which other account an event changed, too: a merger's two sides are found by the event that is the cause of both."""

from alembic import op
from tenure.database import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql(op.get_bind(), "CREATE INDEX account_changes_by_cause ON account_changes (cause)")


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP INDEX account_changes_by_cause")
