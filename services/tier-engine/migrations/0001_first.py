"""The first tables of tier-engine."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE members (                        -- one row per member id; no row is shared between members
  member_id     text PRIMARY KEY,
  state         bytea,                        -- msgpack of rules.Member (terms, growth, timeline); null: nothing known yet
  tier          text,                         -- as of lived_to, for those who look with SQL
  tier_since    date,
  lived_to      date,
  due_on        date,                         -- when something changes by time alone
  merged_into   text,                         -- this id is an old one of that member
  rules_version integer NOT NULL DEFAULT 0    -- the newest rules it was judged by
) WITH (fillfactor = 80);
CREATE INDEX members_due ON members (due_on, member_id) WHERE due_on IS NOT NULL;
CREATE TABLE decisions (                      -- append-only: every change of tier as it was told, and which event made us
  seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  member_id     text NOT NULL,
  effective     date NOT NULL,
  from_tier     text NOT NULL,
  to_tier       text NOT NULL,
  retroactive   boolean NOT NULL,
  rules_version integer NOT NULL,
  backfill      boolean NOT NULL,
  cause         text NOT NULL,                -- source and id of the event
  cause_type    text NOT NULL,
  change        jsonb NOT NULL,               -- the tier.changed event, reasons and measures included
  decided_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decisions_by_member ON decisions (member_id, seq);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
