"""The first tables of the notifier."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE member (                         -- preferences, and the queue of what is decided and not yet told
  member_id    text PRIMARY KEY,
  language     text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
  language_at  timestamptz,
  marketing    boolean NOT NULL DEFAULT false,
  marketing_at timestamptz,
  sms          boolean NOT NULL DEFAULT true,
  erased       boolean NOT NULL DEFAULT false,
  backfilled   bigint NOT NULL DEFAULT 0,     -- messages that history did not cause
  book         bytea NOT NULL DEFAULT ''::bytea, -- msgpack of rules.member.Book; nothing queries inside
  send_at      timestamptz,                   -- when the queue's first message is due
  waiting      integer NOT NULL DEFAULT 0,
  touched_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX member_due ON member (send_at) WHERE send_at IS NOT NULL;
CREATE TABLE message (                        -- the inbox: one row for each message told
  message_id    text PRIMARY KEY,
  member_id     text NOT NULL,
  template      text NOT NULL,
  dedupe        text NOT NULL,
  purpose       text NOT NULL,
  capped        boolean NOT NULL,
  asked_at      timestamptz NOT NULL,         -- when its occasion happened
  scheduled_for timestamptz NOT NULL,
  sent_at       timestamptz NOT NULL,
  language      text NOT NULL,
  title_zh text NOT NULL, title_en text NOT NULL, text_zh text NOT NULL, text_en text NOT NULL,
  backfill      boolean NOT NULL DEFAULT false,
  read_at       timestamptz,
  sms           text NOT NULL DEFAULT 'none'
                CHECK (sms IN ('none', 'queued', 'sending', 'sent', 'delivered', 'failed', 'unknown')),
  sms_at        timestamptz,
  sms_reason    text NOT NULL DEFAULT '',
  recorded_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (member_id, dedupe)
);
CREATE INDEX message_newest ON message (member_id, sent_at, message_id);
CREATE INDEX message_sms_open ON message (sms, sent_at) WHERE sms IN ('queued', 'sending', 'unknown');
CREATE TABLE suppression (                    -- what was not told, and why
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  member_id text NOT NULL, message_id text NOT NULL, template text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL
);
CREATE INDEX suppression_of ON suppression (member_id, seq);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
