"""The toy's tables."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(
        op.get_bind(),
        CREATE
        + """CREATE TABLE totals (key text PRIMARY KEY, amount bigint NOT NULL DEFAULT 0 CHECK (amount < 1000),
                                  due_on date, days int NOT NULL DEFAULT 0);""",
    )
