"""A lot that was granted nothing has no entry to be sealed with, and still counts for streaks and caps: it gets a number among them."""

from alembic import op
from tenure.database import run_sql

revision = "0009"
down_revision = "0008"

EMPTY = """
CREATE TABLE empty_lots (                     -- lots that a cap left nothing of: sealed like entries, in the same order
  seq       bigint PRIMARY KEY DEFAULT nextval('transfers_seq_seq'),
  member_id text NOT NULL,
  lot_no    integer NOT NULL,
  UNIQUE (member_id, lot_no)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON empty_lots
  FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

-- What is settled is known by who holds this lock, so whoever draws a number holds it first.
CREATE FUNCTION number_the_empty_lot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE transfers IN ROW EXCLUSIVE MODE;
  INSERT INTO empty_lots (member_id, lot_no) VALUES (NEW.member_id, NEW.lot_no);
  RETURN NULL;
END $$;
CREATE TRIGGER numbered_though_empty AFTER INSERT ON lots FOR EACH ROW WHEN (NEW.granted = 0)
  EXECUTE FUNCTION number_the_empty_lot();

LOCK TABLE transfers IN ROW EXCLUSIVE MODE;
INSERT INTO empty_lots (member_id, lot_no)
  SELECT member_id, lot_no FROM lots WHERE granted = 0 UNION ALL SELECT member_id, lot_no FROM moved_lots WHERE granted = 0;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), EMPTY)


def downgrade() -> None:
    raise RuntimeError("what was sealed is not unsealed")
