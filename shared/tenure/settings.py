"""Every setting of Tenure, read from `TENURE_*` variables once, at start.

The invariant: a process that started has settings that fit one another. A bad value, or two limits that contradict each
other, end the start with one line per setting, not with a surprise at night. Every limit has its unit last in its name.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tenure.contracts.retention import READ_AGAIN_DAYS

ENV_PREFIX = "TENURE_"

Positive = Annotated[int, Field(gt=0)]
PositiveS = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsError(Exception):
    """The settings cannot be used; the message has one line per variable."""


def _no_database(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres"} or not rest:
        raise ValueError("must look like postgresql://user@host:5432")
    if "/" in rest.rstrip("/"):
        raise ValueError("must not name a database: each service appends its own")
    return url.rstrip("/")


def _http_base(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/")


class Settings(BaseSettings):
    """What can be set; the defaults suit one machine."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    # Where the world is.
    database_url: Annotated[str, AfterValidator(_no_database)] = "postgresql://postgres@127.0.0.1:5432"
    kafka: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    programme_dir: Path = Path("programme")
    data_dir: Path = Path(".tenure")
    host: str = "127.0.0.1"
    port: Port = 8080
    service_url: Annotated[str, AfterValidator(_http_base)] = ""
    """Base URL of the gateway, for calls between services; empty: this process itself, at host and port."""

    # Who may.
    jwt_public_key_file: Path | None = None
    """PEM; several keys one after another while keys are rotated."""
    jwt_private_key_file: Path | None = None
    """Only where tokens are minted: the CLI and the embedded default."""
    jwt_issuer: str = "https://tenure.local"
    service_token_file: Path | None = None
    contact_key: SecretStr | None = None
    """Encrypts contact data at rest."""

    # How days pass: "events" (only `day.started` moves the calendar) or "wall" (the wall does, too).
    clock: Literal["events", "wall"] = "wall"

    # What is told.
    log_json: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: Annotated[str, AfterValidator(_http_base)] = ""
    """Base URL of an OpenTelemetry collector (OTLP over HTTP) that gets spans; empty: none are made."""

    # Database limits.
    pool_size_max: Positive = 8
    pool_acquire_timeout_s: PositiveS = 1.0
    connect_timeout_s: PositiveS = 5.0
    statement_timeout_ms: Positive = 30_000
    lock_timeout_ms: Positive = 2_000
    idle_in_transaction_timeout_ms: Positive = 60_000

    # Spine limits.
    batch_records_max: Positive = 4_000
    consumer_lanes_max: Positive = 3
    """Transactions in which one large poll is applied side by side, by partition."""
    poll_timeout_s: PositiveS = 0.5
    parked_run_max: Positive = 1_000
    outbox_retention_h: Positive = 72
    inbox_retention_days: Positive = READ_AGAIN_DAYS + 1

    # Edge limits.
    body_bytes_max: Positive = 1_048_576
    rate_per_s: Positive = 500
    rate_burst: Positive = 2_000
    rate_callers_max: Positive = 50_000
    gather_items_max: Positive = 256
    queue_items_max: Positive = 4_096
    answer_timeout_s: PositiveS = 10.0
    shutdown_grace_s: Positive = 3

    # Reservations, and where text messages are written; when members are told what, and how often, says programme/messages.yaml.
    hold_ttl_s: Positive = 900
    sms_file: Path | None = None

    @property
    def own_url(self) -> str:
        """Where other services are called: `service_url`, or this process."""
        return self.service_url or f"http://{self.host}:{self.port}"

    @model_validator(mode="after")
    def _limits_fit_one_another(self) -> Self:
        for holds, reason in self._relations():
            if not holds:
                raise ValueError(reason)
        return self

    def _relations(self) -> list[tuple[bool, str]]:
        return [
            (
                self.lock_timeout_ms < self.statement_timeout_ms,
                "TENURE_LOCK_TIMEOUT_MS must be below TENURE_STATEMENT_TIMEOUT_MS",
            ),
            (
                self.statement_timeout_ms <= self.idle_in_transaction_timeout_ms,
                "TENURE_STATEMENT_TIMEOUT_MS must not exceed TENURE_IDLE_IN_TRANSACTION_TIMEOUT_MS",
            ),
            (
                self.outbox_retention_h <= self.inbox_retention_days * 24,
                "TENURE_INBOX_RETENTION_DAYS must cover TENURE_OUTBOX_RETENTION_H (events may be told again)",
            ),
            (
                self.inbox_retention_days > READ_AGAIN_DAYS,
                f"TENURE_INBOX_RETENTION_DAYS must exceed {READ_AGAIN_DAYS}: the log may deliver again what it keeps for so long",
            ),
            (
                self.consumer_lanes_max < self.pool_size_max,
                "TENURE_POOL_SIZE_MAX must be above TENURE_CONSUMER_LANES_MAX: the relay and callers need connections, too",
            ),
            (
                self.rate_per_s <= self.rate_burst,
                "TENURE_RATE_BURST must be at least TENURE_RATE_PER_S",
            ),
            (
                self.gather_items_max <= self.queue_items_max,
                "TENURE_QUEUE_ITEMS_MAX must be at least TENURE_GATHER_ITEMS_MAX",
            ),
            (
                self.lock_timeout_ms < self.answer_timeout_s * 1000,
                "TENURE_ANSWER_TIMEOUT_S must be longer than TENURE_LOCK_TIMEOUT_MS",
            ),
        ]


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment. Raises SettingsError that names each variable and what is wrong with it."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_line(e["loc"], e["msg"]) for e in error.errors(include_input=False))) from None


def _line(loc: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{ENV_PREFIX}{str(loc[0]).upper()}: {text}" if loc else text
