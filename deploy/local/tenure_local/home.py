"""The folder of one embedded platform: its data, its keys, and a note of what is running where.

`TENURE_DATA_DIR` names another folder than `.tenure` beside the project. Nothing outside it is written.

`TENURE_SERVICE_URL` (`tenure --url`) names a platform elsewhere instead, by its gateway; the environment then says where the rest
of it is, as it does for the platform's own processes. What a command needs and nobody named is said, never guessed.
"""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from tenure.embedded.whole import write_whole

if TYPE_CHECKING:
    from tenure.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[3]
SERVICE_TOKEN_TTL_S: Final = 10 * 365 * 86_400
OURS_ALONE: Final = 0o600
URL: Final = "TENURE_SERVICE_URL"
DATABASE_URL: Final = "TENURE_DATABASE_URL"
KAFKA: Final = "TENURE_KAFKA"
BEARER: Final = "TENURE_TOKEN"
KEY_FILE: Final = "TENURE_JWT_PRIVATE_KEY_FILE"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running platform is."""

    url: str
    worker_url: str
    database_url: str
    kafka: str
    broker: str
    clock: str


class NotNamedError(Exception):
    """A platform elsewhere is named, and not all of it that this command needs; the message says what to name."""


class NobodyError(ValueError):
    """A token was asked for whom nobody can be; the message says why."""


class NotUpError(Exception):
    """No platform is up; start one with `tenure up --detach` or `tenure demo`."""

    def __init__(self) -> None:
        super().__init__(
            "no platform is up here; start one with `tenure up --detach` or `tenure demo`, or name one: `tenure --url URL ...`"
        )


class Home:
    """The folder, and what stands in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or Path(os.environ.get("TENURE_DATA_DIR") or ROOT / ".tenure")).absolute()
        self.note = self.folder / "platform.json"
        self.private_key = self.folder / "keys" / "private.pem"
        self.public_key = self.folder / "keys" / "public.pem"
        self.service_token = self.folder / "keys" / "service.token"
        self.contact_key = self.folder / "keys" / "contact.key"
        self.targets = self.folder / "published.json"
        self.log_name = self.folder / "log-name"
        self.elsewhere = os.environ.get(URL, "").rstrip("/")
        told = os.environ.get("TENURE_SMS_FILE") if self.elsewhere else None
        self.sms = Path(told) if told else self.folder / "sms.ndjson"

    def has_data(self) -> bool:
        """Whether an earlier run left something."""
        return (self.folder / "postgres").exists()

    def prepare(self) -> None:
        """Make the folder and its keys, once."""
        from tenure.edge.access import generate_keypair, mint

        self.private_key.parent.mkdir(parents=True, exist_ok=True)
        if not self.private_key.exists():  # it is written last: where it is, the others are
            private, public = generate_keypair()
            write_whole(self.public_key, public)
            write_whole(self.contact_key, secrets.token_hex(32).encode(), mode=OURS_ALONE)
            token = mint(private, "tenure", ["service"], SERVICE_TOKEN_TTL_S)
            write_whole(self.service_token, token.encode(), mode=OURS_ALONE)
            write_whole(self.private_key, private, mode=OURS_ALONE)

    def token(self, subject: str, *roles: str, ttl_s: int = 3_600, book: list[str] | None = None) -> str:
        """A token this platform trusts. Raises NotUpError before the first `up`, NobodyError for what nobody may have.

        Raises NotNamedError where a platform elsewhere is named and no key that signs for it.
        """
        key = self._signing_key()
        from tenure.edge.access import mint

        try:
            return mint(key.read_bytes(), subject, roles, ttl_s, book=book)
        except ValueError as error:
            raise NobodyError(str(error)) from None

    def bearer(self, subject: str, *roles: str, book: list[str] | None = None) -> str:
        """What a command shows the platform: the token somebody gave it for a platform elsewhere, or one of its own."""
        given = os.environ.get(BEARER, "") if self.elsewhere else ""
        return given or self.token(subject, *roles, book=book)

    def _signing_key(self) -> Path:
        given = os.environ.get(KEY_FILE) if self.elsewhere else None
        key = Path(given) if given else self.private_key
        if given or key.exists():
            return key
        if self.elsewhere:
            raise NotNamedError(f"nothing here signs a token for {self.elsewhere}: set {BEARER}, or {KEY_FILE}")
        raise NotUpError

    def addresses(self) -> Addresses:
        """Where the running platform is; of one elsewhere what is not named is empty. Raises NotUpError."""
        if self.elsewhere:
            return Addresses(
                url=self.elsewhere,
                worker_url="",
                database_url=os.environ.get(DATABASE_URL, ""),
                kafka=os.environ.get(KAFKA, ""),
                broker="configured",
                clock=os.environ.get("TENURE_CLOCK") or "wall",
            )
        if not self.note.exists():
            raise NotUpError
        return msgspec.json.decode(self.note.read_bytes(), type=Addresses)

    def environment_programme(self) -> str:
        """The folder of the programme's files."""
        return os.environ.get("TENURE_PROGRAMME_DIR") or str(ROOT / "programme")

    def environment(self, addresses: Addresses, *, port: int) -> dict[str, str]:
        """The variables a process of this platform is started with."""
        return {
            **os.environ,
            "TENURE_DATABASE_URL": addresses.database_url,
            "TENURE_KAFKA": addresses.kafka,
            "TENURE_SERVICE_URL": addresses.url,
            "TENURE_CLOCK": addresses.clock,
            "TENURE_PORT": str(port),
            "TENURE_PROGRAMME_DIR": self.environment_programme(),
            "TENURE_DATA_DIR": str(self.folder),
            "TENURE_JWT_PUBLIC_KEY_FILE": str(self.public_key),
            "TENURE_SERVICE_TOKEN_FILE": str(self.service_token),
            "TENURE_CONTACT_KEY": self.contact_key.read_text(),
            "TENURE_SMS_FILE": str(self.sms),
            "TENURE_LOG_JSON": os.environ.get("TENURE_LOG_JSON", "false"),
        }

    def settings(self) -> "Settings":
        """Settings as the running platform's processes have them. Raises NotUpError, NotNamedError, SettingsError."""
        from tenure.settings import Settings, load_settings

        addresses = self.addresses()
        if self.elsewhere:
            if missing := [name for name in (DATABASE_URL, KAFKA) if not os.environ.get(name)]:
                raise NotNamedError(
                    f"this asks more than {self.elsewhere} answers over REST: set {' and '.join(missing)}"
                )
            return load_settings(programme_dir=Path(self.environment_programme()))
        names = self.environment(addresses, port=0)
        fields = {k.removeprefix("TENURE_").lower(): v for k, v in names.items() if k.startswith("TENURE_")}
        return load_settings(**{k: v for k, v in fields.items() if k in Settings.model_fields})
