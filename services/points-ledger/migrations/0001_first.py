"""The first tables of points-ledger."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE accounts (                       -- one row a member or agent; nothing is shared between two
  member_id    text PRIMARY KEY,
  lived_to     date,                          -- everything the dates imply up to here is posted
  due_on       date,                          -- the next day that brings something
  lots_no      integer NOT NULL DEFAULT 0,
  transfers_no integer NOT NULL DEFAULT 0,
  memory       bytea,                         -- msgpack: tiers over time, terms, referrals
  points_pending bigint NOT NULL DEFAULT 0 CHECK (points_pending >= 0),
  points_available bigint NOT NULL DEFAULT 0 CHECK (points_available >= 0),
  points_held    bigint NOT NULL DEFAULT 0 CHECK (points_held >= 0),
  points_debt    bigint NOT NULL DEFAULT 0 CHECK (points_debt >= 0),
  growth_pending bigint NOT NULL DEFAULT 0 CHECK (growth_pending >= 0),
  growth_available bigint NOT NULL DEFAULT 0 CHECK (growth_available >= 0),
  growth_held    bigint NOT NULL DEFAULT 0 CHECK (growth_held >= 0),
  growth_debt    bigint NOT NULL DEFAULT 0 CHECK (growth_debt >= 0),
  agent_pending  bigint NOT NULL DEFAULT 0 CHECK (agent_pending >= 0),
  agent_available bigint NOT NULL DEFAULT 0 CHECK (agent_available >= 0),
  agent_held     bigint NOT NULL DEFAULT 0 CHECK (agent_held >= 0),
  agent_debt     bigint NOT NULL DEFAULT 0 CHECK (agent_debt >= 0)
) WITH (fillfactor = 70);
CREATE INDEX accounts_due ON accounts (due_on, member_id) WHERE due_on IS NOT NULL;

CREATE TABLE lots (                           -- what one rule earned for one fact, why, and what became of it
  member_id   text NOT NULL,
  lot_no      integer NOT NULL,
  wallet      text NOT NULL CHECK (wallet IN ('points', 'growth', 'agent')),
  rule        text NOT NULL,
  fact        text NOT NULL,                  -- the business key: a fact earns once by a rule
  granted     bigint NOT NULL CHECK (granted >= 0),
  remaining   bigint NOT NULL CHECK (remaining >= 0),
  earned_on   date NOT NULL,
  activates_on date NOT NULL,
  expires_on  date CHECK (expires_on > activates_on),
  rules_version integer NOT NULL,
  source_type text NOT NULL,
  source_id   text NOT NULL,
  remembered_until date NOT NULL,             -- until then another fact may still depend on this one
  base        bigint NOT NULL CHECK (base >= 0),
  held        bigint NOT NULL CHECK (held >= 0),
  spent       bigint NOT NULL CHECK (spent >= 0),
  reversed    bigint NOT NULL CHECK (reversed >= 0),
  expired     bigint NOT NULL CHECK (expired >= 0),
  policy_no   text,
  term_no     integer,
  status      text NOT NULL,                  -- the tier or rank on that day, and what it multiplied by
  status_percent integer NOT NULL,
  line_percent integer NOT NULL,
  campaign_percent integer NOT NULL,
  revoked     boolean NOT NULL,               -- the fact itself was taken back
  taken       jsonb NOT NULL,                 -- [[lot, points]]: where a reversal of this lot took its points; lot 0 = a debt
  origin      text NOT NULL,                  -- the lot's id before two customers became one
  PRIMARY KEY (member_id, lot_no),
  CONSTRAINT lot_is_conserved CHECK (granted = remaining + held + spent + reversed + expired)
) WITH (fillfactor = 85);

CREATE TABLE transfers (                      -- the journal: append-only, every row moves `amount` from debit to credit
  member_id   text NOT NULL,
  transfer_no integer NOT NULL,
  wallet      text NOT NULL,
  debit       text NOT NULL,
  credit      text NOT NULL CHECK (credit <> debit),
  amount      bigint NOT NULL CHECK (amount > 0),
  lot_no      integer NOT NULL,               -- 0 where no lot is concerned
  kind        text NOT NULL,
  effective   date NOT NULL,
  cause       text NOT NULL,                  -- the event's id
  hold_id     text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (member_id, transfer_no)
);
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'the journal is append-only: post a compensating transfer' USING ERRCODE = 'check_violation'; END$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
  FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

CREATE TABLE holds (
  hold_id    text PRIMARY KEY,
  member_id  text NOT NULL,
  wallet     text NOT NULL,
  points     bigint NOT NULL CHECK (points > 0),
  reference  text NOT NULL,
  state      text NOT NULL CHECK (state IN ('held', 'captured', 'released', 'timed_out')),
  parts      jsonb NOT NULL,                  -- [[lot, points]] in order of use
  placed_on  date NOT NULL,
  expires_at timestamptz NOT NULL,            -- an instant of the wall: a reservation ends by timer
  refundable_until date NOT NULL,
  captured   bigint NOT NULL CHECK (captured BETWEEN 0 AND points),
  refunded   bigint NOT NULL CHECK (refunded BETWEEN 0 AND captured)
);
CREATE INDEX holds_of_member ON holds (member_id) WHERE state IN ('held', 'captured');
CREATE INDEX holds_timed ON holds (expires_at) WHERE state = 'held';

CREATE TABLE adjustments (
  adjustment_id text PRIMARY KEY,
  member_id   text NOT NULL,
  wallet      text NOT NULL,
  points      bigint NOT NULL CHECK (points <> 0),
  reason      text NOT NULL,
  ticket      text NOT NULL,
  proposed_by text NOT NULL,
  state       text NOT NULL CHECK (state IN ('proposed', 'approved')),
  approved_by text NOT NULL CHECK (approved_by <> proposed_by),
  recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX adjustments_open ON adjustments (member_id) WHERE state = 'proposed';

CREATE TABLE referral_news (                  -- what became of a referee's policy, for the referrer's account to read
  member_id text NOT NULL,
  policy_no text NOT NULL,
  void      boolean NOT NULL,
  PRIMARY KEY (member_id, policy_no)
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
