"""The `tenure` command and a platform it did not start: named by its addresses, and what is missing of them is said in one line."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure import database
from tenure.edge.access import Gate, trusted_keys
from tenure.settings import Settings
from tenure_local import cli

URL = "https://tenure.example"
NAMES = ("SERVICE_URL", "DATABASE_URL", "KAFKA", "TOKEN", "JWT_PRIVATE_KEY_FILE", "CLOCK")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which no platform was ever up."""
    for name in NAMES:
        monkeypatch.setenv(f"TENURE_{name}", "")
    monkeypatch.setenv("TENURE_DATA_DIR", str(tmp_path / "data"))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def tenure(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["tenure", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (["gaps"], {}, "no platform is up here; start one with `tenure up --detach` or `tenure demo`, or name one: `tenure --url URL"),
        (["parked", "list"], {}, "or name one: `tenure --url URL"),
        (["--url", URL, "gaps"], {}, f"nothing here signs a token for {URL}: set TENURE_TOKEN, or TENURE_JWT_PRIVATE_KEY_FILE"),
        (["gaps"], {"SERVICE_URL": URL, "JWT_PRIVATE_KEY_FILE": "/nowhere.pem"}, "/nowhere.pem: No such file"),
        (["--url", URL, "parked", "list"], {}, f"this asks more than {URL} answers over REST: set TENURE_DATABASE_URL and TENURE_KAFKA"),
        (["--url", URL, "parked", "list"], {"DATABASE_URL": "postgresql://x@127.0.0.1:9"}, "over REST: set TENURE_KAFKA"),
        (["--url", URL, "up"], {}, f"names {URL}; this starts a platform here: leave it out"),
        (["--url", "tenure.example", "gaps"], {}, "must begin with http:// or https://"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_line_that_names_it(
    words: list[str],
    given: dict[str, str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"TENURE_{name}", value)
    assert tenure(monkeypatch, *words) != 0
    said = capsys.readouterr()
    assert says in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


class Gateway(BaseHTTPRequestHandler):
    """Answers that no fact waits, and remembers who asked."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path.partition("?")[0], self.headers["Authorization"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": [], "next_cursor": null}')

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def gateway() -> Iterator[str]:
    Gateway.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_gateway_is_asked_with_the_token_that_was_given(
    gateway: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENURE_TOKEN", "given")
    assert tenure(monkeypatch, "--url", f"{gateway}/", "gaps") == 0
    assert "no fact waits" in capsys.readouterr().out
    assert Gateway.asked == [("/v1/reconciliation/gaps", "Bearer given")]


def test_or_with_one_that_its_key_signs(
    gateway: str, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("TENURE_JWT_PRIVATE_KEY_FILE", str(keys[0]))
    monkeypatch.setenv("TENURE_SERVICE_URL", gateway)
    assert tenure(monkeypatch, "gaps") == 0
    ((_, shown),) = Gateway.asked
    gate = Gate(trusted_keys(keys[1]), issuer=settings.jwt_issuer)
    assert gate.caller_of(shown.removeprefix("Bearer ")).roles == {"operator"}


def test_the_databases_are_read_where_they_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(database.migrate(settings, POLICY_SYNC.database, POLICY_SYNC.migrations))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_KAFKA", "127.0.0.1:9")
    assert tenure(monkeypatch, "--url", URL, "parked", "list", "--service", "policy-sync") == 0
    assert "nothing is parked" in capsys.readouterr().out
