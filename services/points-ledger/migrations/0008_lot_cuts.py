"""When a lot's days were cut short or given back, as it was known at any instant: a report for a past day stays what it was."""

from alembic import op
from tenure.database import run_sql

revision = "0008"
down_revision = "0007"

CHANGES = """
CREATE TABLE lot_cuts (                       -- every change of a lot's cut_on: append-only, written by the database itself
  cut_no      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  member_id   text NOT NULL,
  lot_no      integer NOT NULL,
  cut_on      date,                           -- NULL: it lasts as long as it would have
  recorded_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lot_cuts (member_id, lot_no, cut_on, recorded_at)
  SELECT member_id, lot_no, cut_on, coalesce(
    (SELECT max(c.recorded_at) FROM account_changes c WHERE c.member_id = l.member_id AND c.what = 'left'), now())
  FROM lots l WHERE cut_on IS NOT NULL;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lot_cuts
  FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

CREATE FUNCTION keep_the_cut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO lot_cuts (member_id, lot_no, cut_on) VALUES (NEW.member_id, NEW.lot_no, NEW.cut_on);
  RETURN NULL;
END $$;
CREATE TRIGGER cut_from_the_start AFTER INSERT ON lots FOR EACH ROW WHEN (NEW.cut_on IS NOT NULL)
  EXECUTE FUNCTION keep_the_cut();
CREATE TRIGGER cut_or_given_back AFTER UPDATE OF cut_on ON lots FOR EACH ROW WHEN (NEW.cut_on IS DISTINCT FROM OLD.cut_on)
  EXECUTE FUNCTION keep_the_cut();
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGES)


def downgrade() -> None:
    run_sql(
        op.get_bind(),
        "DROP TRIGGER cut_or_given_back ON lots; DROP TRIGGER cut_from_the_start ON lots; DROP FUNCTION keep_the_cut();"
        " DROP TABLE lot_cuts",
    )
