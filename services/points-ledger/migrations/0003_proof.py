"""What the database itself holds of the books, and the seals that prove them.

The invariants that stand here as constraints cannot be passed by any code: a transfer moves something between two accounts that
its kind allows, what explains a lot is never rewritten, a hold is resolved once, a debt leaves nothing available, a source event
has at most one effect by a rule. Triggers fire on statements that name a frozen column, so the ledger's own updates pay nothing.
"""

from alembic import op
from tenure.database import run_sql

revision = "0003"
down_revision = "0002"

JOURNAL = """
ALTER TABLE transfers
  ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY,     -- in which order rows were drawn; what is sealed is cut by it
  ADD CONSTRAINT transfer_is_numbered CHECK (transfer_no > 0 AND lot_no >= 0),
  ADD CONSTRAINT transfer_names_its_hold CHECK ((kind IN ('hold', 'capture', 'release', 'refund')) = (hold_id <> '')),
  ADD CONSTRAINT transfer_moves_as_its_kind_does CHECK (CASE kind
    WHEN 'grant' THEN debit = 'issuance' AND credit IN ('pending', 'available')
    WHEN 'activate' THEN debit = 'pending' AND credit = 'available'
    WHEN 'hold' THEN debit = 'available' AND credit = 'held'
    WHEN 'capture' THEN debit = 'held' AND credit = 'redemption'
    WHEN 'release' THEN debit = 'held' AND credit = 'available'
    WHEN 'refund' THEN debit = 'redemption' AND credit = 'available'
    WHEN 'reverse' THEN debit IN ('pending', 'available', 'breakage', 'debt') AND credit = 'issuance'
    WHEN 'restore' THEN debit = 'issuance' AND credit IN ('pending', 'available', 'debt')
    WHEN 'repay' THEN debit = 'available' AND credit = 'debt'
    WHEN 'expire' THEN debit = 'available' AND credit = 'breakage'
    WHEN 'merge' THEN (debit = 'merger') <> (credit = 'merger')
    ELSE kind <> '' AND debit <> '' AND credit <> '' END);
-- A journal that is only appended to lies on disk in the order of its numbers: a few bytes for sixteen pages find any of them.
CREATE INDEX transfers_by_seq ON transfers USING brin (seq) WITH (pages_per_range = 16);
"""

FROZEN = """
CREATE FUNCTION what_is_written_stands() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION '% of % is not allowed: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'check_violation'; END$$;

CREATE TABLE moved_lots (                     -- lots that left with a merged customer: what explains their entries stays
  member_id text NOT NULL, lot_no integer NOT NULL, wallet text NOT NULL, rule text NOT NULL, fact text NOT NULL,
  granted bigint NOT NULL, earned_on date NOT NULL, activates_on date NOT NULL, expires_on date, rules_version integer NOT NULL,
  source_type text NOT NULL, source_id text NOT NULL, remembered_until date NOT NULL, base bigint NOT NULL, policy_no text,
  term_no integer, status text NOT NULL, status_percent integer NOT NULL, line_percent integer NOT NULL,
  campaign_percent integer NOT NULL, origin text NOT NULL, campaign text NOT NULL,
  PRIMARY KEY (member_id, lot_no)
);
CREATE FUNCTION keep_what_moved() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO moved_lots VALUES (OLD.member_id, OLD.lot_no, OLD.wallet, OLD.rule, OLD.fact, OLD.granted, OLD.earned_on,
    OLD.activates_on, OLD.expires_on, OLD.rules_version, OLD.source_type, OLD.source_id, OLD.remembered_until, OLD.base,
    OLD.policy_no, OLD.term_no, OLD.status, OLD.status_percent, OLD.line_percent, OLD.campaign_percent, OLD.origin, OLD.campaign);
  RETURN NULL; END$$;
CREATE TRIGGER keep_what_moved AFTER DELETE ON lots FOR EACH ROW EXECUTE FUNCTION keep_what_moved();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON moved_lots FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('what a merged customer had is history');

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON lots FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('lots are history');
CREATE TRIGGER explained_once BEFORE UPDATE OF member_id, lot_no, wallet, rule, fact, granted, earned_on, activates_on, expires_on,
    rules_version, source_type, source_id, remembered_until, base, policy_no, term_no, status, status_percent, line_percent,
    campaign_percent, origin, campaign ON lots FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('why a lot was granted is written once');
CREATE UNIQUE INDEX lots_once_a_source ON lots (member_id, source_id, rule, wallet, fact);

CREATE TRIGGER placed_once BEFORE UPDATE OF hold_id, wallet, points, reference, placed_on, expires_at, refundable_until ON holds
  FOR EACH STATEMENT EXECUTE FUNCTION what_is_written_stands('what was reserved is written once');
CREATE TRIGGER resolved_once BEFORE UPDATE OF state ON holds FOR EACH ROW
  WHEN (OLD.state <> 'held' AND NEW.state <> OLD.state)
  EXECUTE FUNCTION what_is_written_stands('a hold is resolved at most once');
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON holds FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('holds are history');
ALTER TABLE holds
  ADD CONSTRAINT captured_only_when_captured CHECK (captured = 0 OR state = 'captured'),
  ADD CONSTRAINT spendable_wallet CHECK (wallet IN ('points', 'agent'));
"""

ACCOUNTS = """
ALTER TABLE accounts
  ADD CONSTRAINT points_owed_leave_nothing CHECK (points_debt = 0 OR points_available = 0),
  ADD CONSTRAINT growth_owed_leaves_nothing CHECK (growth_debt = 0 OR growth_available = 0),
  ADD CONSTRAINT agent_owed_leaves_nothing CHECK (agent_debt = 0 OR agent_available = 0),
  ADD CONSTRAINT growth_is_never_spent CHECK (growth_held = 0),
  ADD CONSTRAINT numbers_count CHECK (lots_no >= 0 AND transfers_no >= 0);
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON accounts FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('an account is never closed, only emptied');
"""

SEALS = """
CREATE TABLE seals (                          -- one row a sealed batch of the journal; each names the one before by its hash
  batch_no  bigint PRIMARY KEY CHECK (batch_no > 0),
  day       date NOT NULL,                    -- the business day it was sealed on
  seq_after bigint NOT NULL,                  -- the batch is every transfer with seq_after < seq <= seq_to
  seq_to    bigint NOT NULL CHECK (seq_to > seq_after),
  entries   integer NOT NULL CHECK (entries > 0),
  root      bytea NOT NULL CHECK (length(root) = 32),
  previous  bytea NOT NULL CHECK (length(previous) = 32),
  hash      bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  leaves    bytea NOT NULL,                   -- the hash of each entry, 32 bytes each, in order of seq
  sealed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT a_leaf_for_each_entry CHECK (length(leaves) = 32 * entries)
);
ALTER TABLE seals ALTER COLUMN leaves SET STORAGE EXTERNAL;   -- hashes do not compress
CREATE UNIQUE INDEX seals_follow_one_another ON seals (previous);
CREATE UNIQUE INDEX seals_by_seq ON seals (seq_to);
CREATE INDEX seals_by_day ON seals (day, batch_no);
CREATE TABLE roots (                          -- one row a published day: a root over all days sealed so far
  day       date PRIMARY KEY,
  day_no    integer NOT NULL UNIQUE CHECK (day_no > 0),
  batch_from bigint NOT NULL,
  batch_to  bigint NOT NULL CHECK (batch_to >= batch_from),
  entries   bigint NOT NULL CHECK (entries > 0),     -- sealed in all, up to and with this day
  day_root  bytea NOT NULL CHECK (length(day_root) = 32),
  root      bytea NOT NULL CHECK (length(root) = 32),
  published_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER sealed BEFORE UPDATE OR DELETE OR TRUNCATE ON seals FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('a seal is never broken');
CREATE TRIGGER published BEFORE UPDATE OR DELETE OR TRUNCATE ON roots FOR EACH STATEMENT
  EXECUTE FUNCTION what_is_written_stands('a published root stands');
"""


def upgrade() -> None:
    run_sql(op.get_bind(), JOURNAL + FROZEN + ACCOUNTS + SEALS)


def downgrade() -> None:
    raise RuntimeError("what was sealed is not unsealed")
