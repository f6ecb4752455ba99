"""Versions of the earning rules are published by two persons."""

from alembic import op
from tenure.database import run_sql
from tenure.rulebook.tables import CREATE

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE rule_log, rule_drafts")
