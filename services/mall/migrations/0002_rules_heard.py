"""Tier rules that two persons published are followed."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import CREATE_HEARD

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE_HEARD)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE rules_heard")
