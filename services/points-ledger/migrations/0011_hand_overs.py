"""What comes to a number after it was given up waits for a turn together with who the person is by now."""

from alembic import op
from tenure.database import run_sql

revision = "0011"
down_revision = "0010"

HAND_OVERS = """
CREATE TABLE hand_overs (                     -- numbers given up that something came to since
  member_id text PRIMARY KEY,
  others    text NOT NULL CHECK (others <> '')   -- the numbers it is tied to, with a space between
);
-- What had come to a number given up, or through it, before anybody took it on from there.
INSERT INTO hand_overs (member_id, others)
SELECT DISTINCT ON (member_id) member_id, substr(reason, length('became ') + 1) FROM account_changes c
WHERE what = 'merged' AND reason LIKE 'became %' AND EXISTS (SELECT FROM lots l WHERE l.member_id = c.member_id)
ORDER BY member_id, change_no DESC;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), HAND_OVERS)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE hand_overs")
