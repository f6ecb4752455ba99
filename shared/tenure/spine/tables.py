"""The spine's own tables, the same in every service's database. Migrations of services call `create`."""

from typing import Final

CREATE: Final = """
CREATE TABLE inbox (                          -- which events had their effect here
  event_key uuid PRIMARY KEY,
  seen_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_by_age ON inbox USING brin (seen_at);
CREATE TABLE outbox (                         -- one row for what one transaction told the world, in order
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  records   bytea NOT NULL,                   -- msgpack: [[topic, key, value, [[header, bytes]]]]
  events    integer NOT NULL CHECK (events > 0),
  emitted_at timestamptz NOT NULL DEFAULT now(),
  published boolean NOT NULL DEFAULT false
);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE NOT published;
CREATE TABLE published (                      -- how far this service's own records are acknowledged by the log
  topic text NOT NULL, partition integer NOT NULL, next_offset bigint NOT NULL,
  PRIMARY KEY (topic, partition)
);
CREATE TABLE progress (                       -- how far this service has read; commits with the effects
  topic text NOT NULL, partition integer NOT NULL, next_offset bigint NOT NULL,
  PRIMARY KEY (topic, partition)
);
CREATE TABLE parked (                         -- events that are wrong, and those of the same key behind them
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_key uuid NOT NULL UNIQUE,
  key       text NOT NULL,
  topic     text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
  headers   bytea NOT NULL, value bytea NOT NULL,
  code      text NOT NULL,                    -- 'behind' for those that only queue
  detail    text NOT NULL,
  attempts  integer NOT NULL DEFAULT 1,
  parked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX parked_by_key ON parked (key, seq);
CREATE TABLE parked_log (                     -- who replayed or discarded what, and why
  seq bigint NOT NULL, event_key uuid NOT NULL, key text NOT NULL, action text NOT NULL,
  actor text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE idempotency (                    -- the answers given to writes over HTTP
  caller text NOT NULL, key text NOT NULL, fingerprint bytea NOT NULL,
  ok boolean NOT NULL, body bytea NOT NULL, answered_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (caller, key)
);
CREATE TABLE calendar (                       -- the newest day that started, one row
  one boolean PRIMARY KEY DEFAULT true CHECK (one), day date NOT NULL
);
"""
