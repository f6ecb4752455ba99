"""Facts that waited and were dismissed."""

from alembic import op
from tenure.database import run_sql

revision = "0007"
down_revision = "0006"

TABLES = """
CREATE TABLE dismissals (                          -- facts that waited and never count; as facts, they only grow
  seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key    text NOT NULL, source text NOT NULL, id text NOT NULL,  -- of the fact
  heard  integer NOT NULL CHECK (heard > 0),       -- how many facts of its policy had been heard by then
  by     text NOT NULL, reason text NOT NULL,
  at     timestamptz NOT NULL DEFAULT now(),
  UNIQUE (key, source, id)
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE dismissals")
