"""A database goes from test to test: none can tell that it was somebody's before."""

from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from asyncpg.connection import Connection
from tenure import database
from tenure.settings import Settings
from tenure.testing_databases import database_for

from .toy import TOY

TRIED = """
INSERT INTO totals (key, amount) VALUES ('M1', 5);
INSERT INTO outbox (records, events) VALUES ('', 1), ('', 1);
INSERT INTO progress (topic, partition, next_offset) VALUES ('points.v1', 0, 7);
"""
GUARDED = '''
from alembic import op
from tenure.database import run_sql

revision, down_revision = "0001", None


def upgrade() -> None:
    run_sql(op.get_bind(), """
      CREATE TABLE journal (n int);
      CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'it stays' USING ERRCODE = 'check_violation'; END$$;
      CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION stays();
    """)
'''
LEFT = """
SELECT (SELECT count(*) FROM totals) AS totals, (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM progress) AS progress
"""
ALTERATIONS = {
    "a new table": "CREATE TABLE mine (n int)",
    "a column more": "ALTER TABLE totals ADD COLUMN mine int",
    "a column less": "ALTER TABLE totals DROP COLUMN days",
    "a constraint less": "ALTER TABLE totals DROP CONSTRAINT totals_pkey",
    "an index": "CREATE INDEX ON totals (amount)",
    "a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a view": "CREATE VIEW mine AS SELECT key FROM totals",
    "a default": "ALTER TABLE totals ALTER COLUMN amount SET DEFAULT 9",
    "a setting": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 1234', current_database()); END $$",
}


async def _connected(settings: Settings, name: str) -> Connection:
    return await asyncpg.connect(database.url_of(settings, name))


async def test_what_one_wrote_the_next_does_not_find_and_ids_begin_anew(settings: Settings) -> None:
    seen = []
    for _ in range(2):
        async with database_for(TOY, settings) as name:
            conn = await _connected(settings, name)
            assert set(dict(await conn.fetchrow(LEFT)).values()) == {0}
            await conn.execute(TRIED)
            seen.append((name, await conn.fetchval("SELECT max(seq) FROM outbox")))
            await conn.close()
    assert seen[0] == seen[1], "the same database, and the same ids"


async def test_a_journal_that_lets_nobody_empty_it_is_emptied_and_goes_on_so(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.py").write_text(GUARDED)
    guarded = replace(TOY, migrations=tmp_path)
    for _ in range(2):
        async with database_for(guarded, settings) as name:
            conn = await _connected(settings, name)
            assert not await conn.fetchval("SELECT count(*) FROM journal")
            await conn.execute("INSERT INTO journal VALUES (1)")
            with pytest.raises(asyncpg.CheckViolationError):
                await conn.execute("TRUNCATE journal")
            await conn.close()
    async with database_for(guarded, settings) as again:
        assert again == name
        conn = await _connected(settings, again)
        await conn.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        await conn.close()
    async with database_for(guarded, settings) as another:
        assert another != name


@pytest.mark.parametrize("altering", ALTERATIONS.values(), ids=ALTERATIONS.keys())
async def test_who_altered_it_was_the_last_to_have_it(altering: str, settings: Settings) -> None:
    async with database_for(TOY, settings) as name:
        conn = await _connected(settings, name)
        await conn.execute(altering)
        await conn.close()
    async with database_for(TOY, settings) as next_one:
        assert next_one != name
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await _connected(settings, name)


async def test_who_forgot_to_leave_is_sent_away(settings: Settings) -> None:
    async with database_for(TOY, settings) as name:
        forgotten = await _connected(settings, name)
        await forgotten.execute("BEGIN; LOCK TABLE totals IN ACCESS EXCLUSIVE MODE")
    async with database_for(TOY, settings) as again:
        assert again == name
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await forgotten.fetchval("SELECT 1")
        conn = await _connected(settings, again)
        assert not await conn.fetchval("SELECT count(*) FROM totals")
        await conn.close()


async def test_two_at_once_have_one_each(settings: Settings) -> None:
    async with database_for(TOY, settings) as one, database_for(TOY, settings) as another:
        assert one != another
