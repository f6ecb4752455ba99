"""Campaigns with a budget, caps that explain themselves."""

from alembic import op
from tenure.database import run_sql

revision = "0002"
down_revision = "0001"

CHANGES = """
ALTER TABLE lots
  ADD COLUMN campaign   text NOT NULL DEFAULT '',   -- whose percent it has
  ADD COLUMN extra_max  bigint CHECK (extra_max >= 0),   -- the most the campaign may add
  ADD COLUMN amount_max bigint CHECK (amount_max >= 0),  -- the most it may come to at all
  ADD COLUMN capped_by  text NOT NULL DEFAULT '';   -- what set these, in words

CREATE TABLE budgets (                        -- what members share, written only by whoever allots: nobody who earns waits for it
  campaign   text PRIMARY KEY,
  points_max bigint NOT NULL,
  allotted   bigint NOT NULL CHECK (allotted BETWEEN 0 AND points_max)
);
CREATE TABLE budget_claims (                  -- lots that wait for their share, in the order they are served
  claim_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  member_id  text NOT NULL,
  lot_id     text NOT NULL,
  campaign   text NOT NULL,
  points     bigint NOT NULL CHECK (points > 0),
  budget_points_max bigint NOT NULL
);
CREATE TABLE budget_news (                    -- what a lot got, for its account to read
  member_id text NOT NULL,
  lot_id    text NOT NULL,
  points    bigint NOT NULL CHECK (points BETWEEN 0 AND asked),
  asked     bigint NOT NULL,
  PRIMARY KEY (member_id, lot_id)
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CHANGES)


def downgrade() -> None:
    run_sql(
        op.get_bind(),
        "DROP TABLE budget_news, budget_claims, budgets; ALTER TABLE lots"
        " DROP COLUMN campaign, DROP COLUMN extra_max, DROP COLUMN amount_max, DROP COLUMN capped_by",
    )
