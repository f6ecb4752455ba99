"""Cursors of statements carry balances, so they are signed, by a secret that every process finds in the database."""

from alembic import op
from tenure.database import run_sql

revision = "0013"
down_revision = "0012"

TABLE = """
CREATE TABLE cursor_secret (                  -- one row; whoever deletes it ends the paging that is under way
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  secret bytea NOT NULL CHECK (length(secret) = 32)
);
INSERT INTO cursor_secret (secret) SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLE)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE cursor_secret")
