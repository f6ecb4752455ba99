"""Control files of the core, and where they differ from what stands here."""

from alembic import op
from tenure.database import run_sql

revision = "0004"
down_revision = "0003"

TABLES = """
CREATE TABLE controls (
  control_id  text PRIMARY KEY,
  "on"        date NOT NULL,
  lines       json NOT NULL,                 -- the core's counts and premium sums per product line
  opened_by   text NOT NULL, opened_at timestamptz NOT NULL,
  is_compared boolean NOT NULL
);
CREATE INDEX controls_by_time ON controls (opened_at DESC, control_id DESC);
CREATE TABLE control_terms (                 -- a snapshot: the core's terms in force that day; gone once compared
  control_id text NOT NULL REFERENCES controls ON DELETE CASCADE,
  policy_no  text NOT NULL, term_no integer NOT NULL,
  member_id  text NOT NULL, product_line text NOT NULL,
  start      date NOT NULL, "end" date NOT NULL, premium_fen bigint NOT NULL,
  PRIMARY KEY (control_id, policy_no, term_no)
);
CREATE TABLE differences (
  control_id text NOT NULL REFERENCES controls ON DELETE CASCADE, n bigint GENERATED ALWAYS AS IDENTITY,
  policy_no  text NOT NULL, term_no integer NOT NULL, kind text NOT NULL,
  ours       json, theirs json,
  settled    text CHECK (settled IN ('requested', 'accepted')), settled_at timestamptz,
  PRIMARY KEY (control_id, n)
);
CREATE INDEX differences_of ON differences (control_id, policy_no) WHERE settled IS NULL;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE differences, control_terms, controls")
