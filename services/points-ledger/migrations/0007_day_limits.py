"""What one person may propose by hand in a day, and what may be proposed for one member: never exceeded, whoever asks at once."""

from alembic import op
from tenure.database import run_sql

revision = "0007"
down_revision = "0006"

CHANGES = """
CREATE TABLE adjustment_days (                -- points proposed on a day: by a maker, for a member; up or down counts alike
  day        date NOT NULL,
  role       text NOT NULL CHECK (role IN ('maker', 'member')),
  who        text NOT NULL,
  points     bigint NOT NULL CHECK (points > 0),
  points_max bigint NOT NULL,
  PRIMARY KEY (day, role, who),
  CONSTRAINT within_the_days_limit CHECK (points <= points_max)
);
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON budgets FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('what a campaign was allotted stands');
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TRIGGER never_removed ON budgets; DROP TABLE adjustment_days")
