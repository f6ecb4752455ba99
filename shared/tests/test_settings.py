"""Settings: the defaults fit, the environment is read, and what cannot work ends the start with a line that says why."""

from pathlib import Path

import pytest
from tenure.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [n for n in os.environ if n.startswith("TENURE_")]:
        monkeypatch.delenv(name)


def test_the_defaults_fit_one_another() -> None:
    settings = load_settings()
    assert settings.body_bytes_max == 1_048_576
    assert settings.batch_records_max == 4_000
    assert settings.own_url == "http://127.0.0.1:8080"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://tenure@db:5433/",
        "KAFKA": "memory://x",
        "CLOCK": "events",
        "PORT": "9000",
        "JWT_PUBLIC_KEY_FILE": "keys/public.pem",
        "HOLD_TTL_S": "60",
        "SERVICE_URL": "https://gateway/",
        "CONTACT_KEY": "very secret",
        "LOG_LEVEL": "",
    }.items():
        monkeypatch.setenv(f"TENURE_{name}", value)
    settings = load_settings()
    assert settings.database_url == "postgresql://tenure@db:5433"
    assert (settings.kafka, settings.clock, settings.port, settings.hold_ttl_s) == ("memory://x", "events", 9000, 60)
    assert settings.jwt_public_key_file == Path("keys/public.pem")
    assert settings.own_url == "https://gateway"
    assert settings.log_level == "info", "an empty variable is not set"
    assert "very secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "postgresql://host/name"),
        ("DATABASE_URL", "postgresql://"),
        ("SERVICE_URL", "gateway:80"),
        ("CLOCK", "sundial"),
        ("PORT", "70000"),
        ("PORT", "http"),
        ("POOL_SIZE_MAX", "0"),
        ("POOL_SIZE_MAX", "-1"),
        ("RATE_PER_S", "1.5"),
        ("POLL_TIMEOUT_S", "soon"),
        ("BATCH_RECORDS_MAX", "many"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TENURE_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"TENURE_{name}: ")
    assert len(str(refused.value).splitlines()) == 1


def test_every_bad_value_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_PORT", "http")
    monkeypatch.setenv("TENURE_CLOCK", "sundial")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["TENURE_PORT", "TENURE_CLOCK"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lock_timeout_ms": 30_000}, "TENURE_LOCK_TIMEOUT_MS must be below"),
        ({"statement_timeout_ms": 70_000}, "TENURE_STATEMENT_TIMEOUT_MS must not exceed"),
        ({"outbox_retention_h": 3_000}, "TENURE_INBOX_RETENTION_DAYS must cover"),
        ({"inbox_retention_days": 97}, "TENURE_INBOX_RETENTION_DAYS must exceed 97"),
        ({"rate_burst": 499}, "TENURE_RATE_BURST must be at least"),
        ({"queue_items_max": 255}, "TENURE_QUEUE_ITEMS_MAX must be at least"),
        ({"answer_timeout_s": 2.0}, "TENURE_ANSWER_TIMEOUT_S must be longer"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings(**changes)


def test_every_limit_has_its_unit_last() -> None:
    units = ("_max", "_ms", "_s", "_h", "_days", "_level", "port", "_burst", "_per_s")
    for name, field in Settings.model_fields.items():
        if field.annotation in (int, float):
            assert name.endswith(units), name
