"""Imports: files that came in parts, how far each is read, and what is wrong with their rows."""

from alembic import op
from tenure.database import run_sql

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE imports (
  import_id   text PRIMARY KEY,
  source      text NOT NULL,                  -- the declaration's name
  declaration text NOT NULL,                  -- as it stood when the import was opened
  file_name   text NOT NULL,
  dry_run     boolean NOT NULL,
  live_from   date,                           -- facts recorded before that day are history; null: all are
  opened_by   text NOT NULL, opened_at timestamptz NOT NULL,
  stage       text NOT NULL CHECK (stage IN ('uploading', 'queued', 'done', 'failed')),
  position    bigint NOT NULL CHECK (position >= 0),  -- the last row whose facts are in
  counts      json NOT NULL,
  findings    integer NOT NULL,
  why         text NOT NULL,
  changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX imports_queued ON imports (opened_at) WHERE stage = 'queued';
CREATE INDEX imports_by_time ON imports (opened_at DESC, import_id DESC);
CREATE TABLE import_parts (
  import_id text NOT NULL REFERENCES imports ON DELETE CASCADE, part integer NOT NULL,
  body      bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (import_id, part)
);
CREATE TABLE import_findings (
  import_id text NOT NULL REFERENCES imports ON DELETE CASCADE, n bigint GENERATED ALWAYS AS IDENTITY,
  row       bigint NOT NULL, place text NOT NULL, code text NOT NULL, detail text NOT NULL,
  PRIMARY KEY (import_id, n)
);
"""


def upgrade() -> None:
    run_sql(op.get_bind(), TABLES)


def downgrade() -> None:
    run_sql(op.get_bind(), "DROP TABLE import_findings, import_parts, imports")
