"""A decision says on which day of the calendar it was told, so that a replay, too, knows what it had told by when."""

from alembic import op
from tenure.database import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(
        op.get_bind(),
        """
        ALTER TABLE decisions ADD COLUMN told_on date;      -- the day the member had lived to
        UPDATE decisions SET told_on = (decided_at AT TIME ZONE 'Asia/Shanghai')::date;
        ALTER TABLE decisions ALTER COLUMN told_on SET NOT NULL;
        """,
    )


def downgrade() -> None:
    run_sql(op.get_bind(), "ALTER TABLE decisions DROP COLUMN told_on")
