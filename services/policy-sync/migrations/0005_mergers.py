"""Mergers and their undoing in a table of their own: it stays small, so that asking it costs nothing however many facts there are."""

from alembic import op
from tenure.database import run_sql

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE mergers (                       -- the facts that say whose a number is, once more, by that number
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  merged_id text NOT NULL, survivor_id text NOT NULL,
  type      text NOT NULL, source text NOT NULL, id text NOT NULL, time timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  backfill  boolean NOT NULL,
  data      json NOT NULL
);
INSERT INTO mergers (merged_id, survivor_id, type, source, id, time, recorded_at, backfill, data)
SELECT data->>'merged_id', data->>'member_id', type, source, id, time, recorded_at, backfill, data FROM facts
WHERE type IN ('CustomerMerged', 'CustomerUnmerged') ORDER BY seq;
CREATE INDEX mergers_by_merged ON mergers (merged_id);
CREATE INDEX mergers_by_survivor ON mergers (survivor_id);
DROP INDEX facts_of_mergers;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(
        op.get_bind(),
        """DROP TABLE mergers;
           CREATE INDEX facts_of_mergers ON facts ((data->>'merged_id')) WHERE type IN ('CustomerMerged', 'CustomerUnmerged')""",
    )
