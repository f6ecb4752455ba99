"""The first tables of policy-sync."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE policies (                       -- one row per policy number heard of; its lock is the policy's lock
  policy_no    text PRIMARY KEY,
  product_line text,                          -- null while only facts that wait are known
  member_id    text,                          -- the holder now
  member_ids   text[] NOT NULL DEFAULT '{}',  -- everyone who ever held it
  inception    date,
  inherited    date,                          -- inception of the policy it continues
  version      integer NOT NULL DEFAULT 0,
  waiting      integer NOT NULL DEFAULT 0,    -- facts that have no ground yet
  live_from    date,
  lived_to     date,
  due_on       date
);
CREATE INDEX policies_due ON policies (due_on, policy_no) WHERE due_on IS NOT NULL;
CREATE INDEX policies_by_member ON policies USING gin (member_ids);
CREATE TABLE members (                        -- one row per member heard of
  member_id   text PRIMARY KEY,
  enrolled_on date
);
CREATE TABLE facts (                          -- what the core said; nothing here is ever changed
  seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key         text NOT NULL,                  -- the policy, or 'member ' and the member
  type        text NOT NULL,
  source      text NOT NULL, id text NOT NULL,
  time        timestamptz NOT NULL,           -- when the core recorded it
  effective   date NOT NULL,                  -- from when it counts
  recorded_at timestamptz NOT NULL DEFAULT now(),  -- when it was recorded here
  backfill    boolean NOT NULL,
  data        json NOT NULL
);
CREATE INDEX facts_by_key ON facts (key, seq);
CREATE TABLE duplicates (                     -- business facts that came again under a new id
  key text NOT NULL, source text NOT NULL, id text NOT NULL,
  original_source text NOT NULL, original_id text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE terms (                          -- as the facts stand; made from them alone
  policy_no   text NOT NULL, term_no integer NOT NULL,
  start       date NOT NULL, "end" date NOT NULL, written_end date NOT NULL,
  premium_fen bigint NOT NULL CHECK (premium_fen >= 0),
  status      text NOT NULL,
  covers      datemultirange NOT NULL,
  cooling_off_end date,
  PRIMARY KEY (policy_no, term_no)
);
CREATE TABLE claims (                         -- as the facts stand; made from them alone
  policy_no   text NOT NULL, claim_no text NOT NULL,
  member_id   text NOT NULL,
  loss_date   date NOT NULL,
  status      text NOT NULL,
  amount_fen  bigint NOT NULL, paid_fen bigint NOT NULL,
  counts      boolean NOT NULL,               -- whether it breaks a no-claim year
  kind        text NOT NULL,
  effective   date NOT NULL,
  PRIMARY KEY (policy_no, claim_no)
);
CREATE INDEX claims_by_no ON claims (claim_no);
CREATE INDEX claims_by_member ON claims (member_id, loss_date, claim_no);
CREATE TABLE milestones (                     -- every milestone told, and whether it still stands
  policy_no text NOT NULL, day date NOT NULL, kind text NOT NULL, number integer NOT NULL,
  stands    boolean NOT NULL,
  told_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (policy_no, day, kind, number)
);
CREATE TABLE contacts (                       -- sealed; deleted when the member is erased
  member_id text PRIMARY KEY,
  sealed    bytea NOT NULL,
  key_id    text NOT NULL,
  kept_at   timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
