"""The first tables of member-view."""

from alembic import op
from tenure.database import run_sql
from tenure.spine.tables import CREATE

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE member_view (                     -- one row per member; a read is one value of it
  member_id text PRIMARY KEY,
  version   bigint NOT NULL DEFAULT 0,         -- grows with every change: streams and callers compare it
  rendered  bytea,                             -- the JSON as it is served; NULL = not to be seen (erased, or an old id)
  state     bytea NOT NULL DEFAULT ''::bytea,  -- msgpack of rules.view.View; nothing queries inside
  tier      text NOT NULL DEFAULT 'none',
  covered   boolean NOT NULL DEFAULT true,
  enrolled_on date,
  available bigint NOT NULL DEFAULT 0, pending bigint NOT NULL DEFAULT 0,  -- of the points wallet
  held      bigint NOT NULL DEFAULT 0, debt bigint NOT NULL DEFAULT 0,
  claims_open integer NOT NULL DEFAULT 0, claims_open_fen bigint NOT NULL DEFAULT 0,
  hand_over_to text                            -- this id is an old one and something arrived under it
) WITH (fillfactor = 80);
CREATE INDEX member_view_left_over ON member_view (member_id) WHERE hand_over_to IS NOT NULL;
CREATE INDEX member_view_enrolled ON member_view (enrolled_on) WHERE enrolled_on IS NOT NULL;
"""


def upgrade() -> None:
    run_sql(op.get_bind(), CREATE + TABLES)


def downgrade() -> None:
    raise RuntimeError("a service's first migration is undone by dropping its database")
