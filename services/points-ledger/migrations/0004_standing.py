"""How accounts stand: their audit, and adjustments that write off, freeze, come in files, or are rejected."""

from alembic import op
from tenure.database import run_sql

revision = "0004"
down_revision = "0003"

CHANGES = """
CREATE TABLE account_changes (                -- the audit of accounts as such: append-only
  change_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  member_id   text NOT NULL,
  what        text NOT NULL,
  reason      text NOT NULL,
  actor       text NOT NULL,
  cause       text NOT NULL,                  -- the event's id
  effective   date NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_changes_of_member ON account_changes (member_id, change_no);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_changes
  FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

ALTER TABLE lots ADD COLUMN cut_on date CHECK (cut_on < expires_on);   -- its agent left: it expires earlier

ALTER TABLE adjustments
  ADD COLUMN purpose text NOT NULL DEFAULT 'correct' CHECK (purpose IN ('correct', 'write_off', 'freeze', 'unfreeze')),
  ADD COLUMN batch   text NOT NULL DEFAULT '',
  DROP CONSTRAINT adjustments_points_check,
  ADD CONSTRAINT adjustments_points_check CHECK ((points = 0) = (purpose IN ('freeze', 'unfreeze'))),
  DROP CONSTRAINT adjustments_state_check,
  ADD CONSTRAINT adjustments_state_check CHECK (state IN ('proposed', 'approved', 'rejected'));
CREATE INDEX adjustments_by_time ON adjustments (recorded_at DESC, adjustment_id);
CREATE INDEX adjustments_of_batch ON adjustments (batch) WHERE batch <> '';
CREATE INDEX accounts_in_debt ON accounts (member_id) WHERE points_debt > 0 OR growth_debt > 0 OR agent_debt > 0;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGES)


def downgrade() -> None:
    raise RuntimeError("an audit is not undone: restore the database")
