"""A simulation reads its members as they all were at one instant: they are copied when it begins, and go page by page."""

from alembic import op
from tenure.database import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE simulation_snapshot (            -- members as they were when a simulation began, until it ends
  simulation_id text NOT NULL REFERENCES simulations ON DELETE CASCADE,
  member_id     text NOT NULL,
  state         bytea NOT NULL,               -- as in members
  PRIMARY KEY (simulation_id, member_id)
);
DELETE FROM simulation_members WHERE simulation_id IN (SELECT simulation_id FROM simulations WHERE state = 'running');
UPDATE simulations SET members_total = NULL, members_done = 0, after = '', sums = NULL, listed = 0, taken_until = NULL
WHERE state = 'running';                      -- those under way begin again
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE simulation_snapshot")
