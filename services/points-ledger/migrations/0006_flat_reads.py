"""A balance costs what is there, not what there ever was: lots that are over are not read."""

from alembic import op
from tenure.database import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(op.get_bind(), "CREATE INDEX lots_open ON lots (member_id) WHERE remaining > 0 OR held > 0")


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP INDEX lots_open")
