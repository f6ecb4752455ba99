"""What waits, since when; and what a policy takes from elsewhere: the policy it continues, the numbers of those who hold it."""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"

TABLES = """
ALTER TABLE policies
  ADD COLUMN waiting_since timestamptz,            -- when the oldest fact that waits was recorded here; null: none waits
  ADD COLUMN previous_policy_no text,              -- the policy it continues
  ADD COLUMN survivors json NOT NULL DEFAULT '{}', -- numbers of holders that are others' now, as last told
  ADD COLUMN reheld integer NOT NULL DEFAULT 0;    -- how often a merger or its undoing changed whose it is
CREATE INDEX policies_waiting ON policies (waiting_since, policy_no) WHERE waiting > 0;
CREATE INDEX policies_continuing ON policies (previous_policy_no) WHERE previous_policy_no IS NOT NULL;
CREATE TABLE stale (                               -- policies to be looked at again: what they take from elsewhere changed
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  policy_no text NOT NULL
);
CREATE INDEX stale_by_policy ON stale (policy_no);
CREATE INDEX facts_of_mergers ON facts ((data->>'merged_id')) WHERE type IN ('CustomerMerged', 'CustomerUnmerged');
ALTER TABLE members ADD COLUMN household_id text;
CREATE INDEX members_by_household ON members (household_id, member_id) WHERE household_id IS NOT NULL;
UPDATE policies p SET waiting_since = (SELECT min(recorded_at) FROM facts f WHERE f.key = p.policy_no) WHERE waiting > 0;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(
        op.get_bind(),
        """DROP TABLE stale; DROP INDEX facts_of_mergers, policies_waiting, members_by_household;
           ALTER TABLE members DROP COLUMN household_id;
           ALTER TABLE policies DROP COLUMN waiting_since, DROP COLUMN previous_policy_no, DROP COLUMN survivors,
                                DROP COLUMN reheld""",
    )
