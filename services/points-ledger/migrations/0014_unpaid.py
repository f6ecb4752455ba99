"""Activities that came to nothing, each once, and why: so that somebody can be told who asks for their points days later."""

from alembic import op
from tenure.database import run_sql

revision = "0014"
down_revision = "0013"

UNPAID = """
CREATE TABLE unpaid (                         -- written once; deleted when it is past its retention, and by nothing else
  member_id   text NOT NULL,
  day         date NOT NULL,                  -- of the activity
  kind        text NOT NULL,
  fact        text NOT NULL,                  -- the key it would have earned by: however often it is told, it is one row
  activity_id text NOT NULL,
  reason      text NOT NULL CHECK (reason IN ('limit', 'too_late', 'heard_late', 'below', 'no_rule', 'not_then',
                                              'not_for_line', 'agent_left', 'backfill', 'capped', 'rated')),
  limited_by  text NOT NULL,                  -- what the reason is measured by: '1 a day', days, a value, a cap
  rules_version integer NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (member_id, day, kind, fact)
);
CREATE INDEX unpaid_by_age ON unpaid USING brin (recorded_at);
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON unpaid
  FOR EACH STATEMENT EXECUTE FUNCTION what_is_written_stands('why something came to nothing is written once');
"""


def upgrade() -> None:
    run_sql(op.get_bind(), UNPAID)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE unpaid")
