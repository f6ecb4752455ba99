"""The first tables of benefits."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE members (                        -- one row per member: its whole state, and what is queried beside it
  member_id   text PRIMARY KEY,
  due_on      date,                           -- the next day on which something becomes visible by itself
  tier        text NOT NULL DEFAULT 'none',
  open_grants integer NOT NULL DEFAULT 0 CHECK (open_grants >= 0),
  used        integer NOT NULL DEFAULT 0 CHECK (used >= 0),
  state       bytea NOT NULL DEFAULT ''       -- JSON of benefits.state.State; empty until the first event had its effect
);
CREATE INDEX members_due ON members (due_on, member_id) WHERE due_on IS NOT NULL;
CREATE TABLE claims (                         -- whose claim it is; the claim itself is in its member's state
  claim_no  text PRIMARY KEY,
  member_id text NOT NULL
);
CREATE TABLE appointments (                   -- uses with a date, for those who come to the house
  use_id    text PRIMARY KEY,
  grant_id  text NOT NULL,
  member_id text NOT NULL,
  benefit   text NOT NULL,
  slot_date date NOT NULL,
  region    text,
  status    text NOT NULL CHECK (status IN ('booked', 'cancelled'))
);
CREATE INDEX appointments_by_day ON appointments (slot_date, use_id);
CREATE INDEX appointments_by_member ON appointments (member_id, slot_date);
CREATE TABLE reports (                        -- annual home-safety diagnoses, append-only
  report_id text PRIMARY KEY,
  member_id text NOT NULL,
  policy_no text NOT NULL,
  made_on   date NOT NULL,
  body      bytea NOT NULL
);
CREATE INDEX reports_by_member ON reports (member_id, made_on DESC);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
