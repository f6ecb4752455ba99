"""The first tables of mall."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE members (                        -- what the mall remembers of a member
  member_id text COLLATE "C" PRIMARY KEY,
  timeline  bytea NOT NULL DEFAULT '[]',      -- JSON: the steps of tier.changed, wholesale
  taken     bytea NOT NULL DEFAULT '{}'       -- JSON: units of limited items, by "sku window"
);
CREATE TABLE shelves (                        -- stock per SKU: stocked = available + units of orders that did not end in failed or refunded
  sku       text COLLATE "C" PRIMARY KEY,
  stocked   integer NOT NULL DEFAULT 0 CHECK (stocked >= 0),
  available integer NOT NULL DEFAULT 0 CHECK (available >= 0),
  opened    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);                     -- a hot row: its new versions stay on its page
CREATE TABLE shelf_entries (                  -- what came onto a shelf or was taken off by hand, append-only
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sku text COLLATE "C" NOT NULL, units integer NOT NULL, reason text NOT NULL, by text NOT NULL,
  at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE quotes (                         -- prices promised until valid_until
  quote_id  text COLLATE "C" PRIMARY KEY,
  member_id text COLLATE "C" NOT NULL, sku text NOT NULL, kind text NOT NULL,
  quantity  integer NOT NULL CHECK (quantity > 0),
  points    bigint NOT NULL CHECK (points > 0), cash_fen bigint NOT NULL CHECK (cash_fen >= 0),
  catalogue_version integer NOT NULL, quoted_on date NOT NULL, valid_until timestamptz NOT NULL
);
CREATE INDEX quotes_ended ON quotes (valid_until);
CREATE TABLE orders (
  order_id  text COLLATE "C" PRIMARY KEY,
  member_id text COLLATE "C" NOT NULL, sku text COLLATE "C" NOT NULL, kind text NOT NULL,
  quantity  integer NOT NULL CHECK (quantity > 0),
  points    bigint NOT NULL CHECK (points > 0), cash_fen bigint NOT NULL CHECK (cash_fen >= 0),
  catalogue_version integer NOT NULL,
  status    text NOT NULL CHECK (status IN ('placed', 'held', 'supplied', 'fulfilled', 'shipped', 'closed',
                                            'releasing', 'failed', 'refunding', 'refunded')),
  reason    text NOT NULL, placed_on date NOT NULL, viewed_on date, taken_under text,
  attempts  integer NOT NULL, next_try_at timestamptz, give_up_at timestamptz NOT NULL,
  CHECK ((next_try_at IS NOT NULL) = (status IN ('placed', 'held', 'supplied', 'releasing', 'refunding')))
);
CREATE INDEX orders_of_member ON orders (member_id, order_id DESC);
CREATE INDEX orders_due ON orders (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX orders_to_deliver ON orders (order_id) WHERE kind <> 'code' AND status IN ('fulfilled', 'shipped');
CREATE TABLE order_steps (                    -- every status an order ever had, append-only
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL, status text NOT NULL, reason text NOT NULL, "on" date NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_steps_of_order ON order_steps (order_id, seq);
CREATE TABLE codes (                          -- one row per redeemable code; order_id NULL = free
  code_id  bigint GENERATED ALWAYS AS IDENTITY,
  sku      text COLLATE "C" NOT NULL, code text COLLATE "C" NOT NULL,
  order_id text COLLATE "C" REFERENCES orders,
  PRIMARY KEY (sku, code)
);
CREATE INDEX codes_free ON codes (sku, code_id) WHERE order_id IS NULL;
CREATE INDEX codes_of_order ON codes (order_id) WHERE order_id IS NOT NULL;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
