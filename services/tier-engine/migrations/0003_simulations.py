"""What-if: simulations of draft rules, and the members whom they would change."""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE simulations (                    -- draft rules over the history of all members; nothing live is touched
  simulation_id text PRIMARY KEY,
  seq           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  asked         jsonb NOT NULL,               -- the request
  question      bytea NOT NULL,               -- msgpack of rules.compare.Question: both sets of versions as they were
  asked_by      text NOT NULL,
  asked_at      timestamptz NOT NULL,
  members_total integer,
  members_done  integer NOT NULL DEFAULT 0,
  after         text NOT NULL DEFAULT '',     -- the last member weighed
  sums          bytea,                        -- msgpack of rules.compare.Weighed so far
  listed        integer NOT NULL DEFAULT 0,
  taken_until   timestamptz,                  -- a worker has it until then
  result        jsonb,
  error         text,
  finished_at   timestamptz
);
CREATE TABLE simulation_members (             -- whom a draft changes, and how
  simulation_id text NOT NULL REFERENCES simulations ON DELETE CASCADE,
  member_id     text NOT NULL,
  effect        text NOT NULL CHECK (effect IN ('helped', 'harmed')),
  differs_on    date NOT NULL,
  current       text NOT NULL,
  draft         text NOT NULL,
  PRIMARY KEY (simulation_id, member_id)
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE simulation_members, simulations")
