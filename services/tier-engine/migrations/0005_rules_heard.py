"""Earning rules that two persons published are followed: simulations cost points by them."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import CREATE_HEARD

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE_HEARD)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE rules_heard")
