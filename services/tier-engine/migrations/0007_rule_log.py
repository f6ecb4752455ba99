"""What was done to drafts of rules, by whom and why, is only appended to: a trigger refuses anything else."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import GUARD_LOG, UNGUARD_LOG

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), GUARD_LOG)


def downgrade() -> None:
    run_sql(op.get_bind(), UNGUARD_LOG)
