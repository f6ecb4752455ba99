"""Wrong words, files and days: one line that says what is wrong, on standard error, and nothing on standard output."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from tenure.calendar import DAY, local_date
from tenure.settings import Settings
from tenure.spine.codec import utc_now
from tenure_local import cli, failures
from tenure_local.api import ApiError
from tenure_local.home import Home, NobodyError
from tenure_local.moving import check_came
from tenure_local.playback import CalendarError

NOT_UP = "no platform is up here; start one with `tenure up --detach`"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, and a port nobody would take for ours."""
    monkeypatch.setenv("TENURE_DATA_DIR", str(tmp_path / "data"))
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def tenure(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command in this process. Returns its exit status."""
    monkeypatch.setattr("sys.argv", ["tenure", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("how", [KeyboardInterrupt, typer.Abort])
def test_a_command_that_is_interrupted_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: type[BaseException]
) -> None:
    def interrupted(_: Home) -> str:
        raise how

    monkeypatch.setattr(Home, "addresses", interrupted)
    assert tenure(monkeypatch, "wait") == 130
    assert capsys.readouterr().err.strip() == "interrupted"


@pytest.mark.parametrize("group", [[], ["parked"], ["verify"], ["rules"], ["simulate"], ["replay"]], ids=" ".join)
def test_what_a_command_is_for_is_said_whole_where_commands_are_listed(
    group: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list has room for a line of 80 characters each, and would cut what is longer."""
    monkeypatch.setenv("COLUMNS", "80")
    tenure(monkeypatch, *group, "--help")
    _, _, commands = capsys.readouterr().out.partition("Commands:")
    assert [line for line in commands.splitlines() if line.endswith("...")] == []
    assert commands


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("earn: .inf", "inf is no number that a rule can have"),
        ("name: !!binary aGVsbG8=", "a rule has no bytes"),
        ("tiers: !!set {a, b}", "a rule has no set"),
        ("a: &a [*a]", "nested too deep, or holds itself"),
        ("[" * 5_000 + "]" * 5_000, "nested too deep, or holds itself"),
        ("effective: 0000-99-99", "is not YAML of a version of rules"),
        ("- a", "holds no version of rules"),
    ],
)
@pytest.mark.parametrize("words", ["rules propose tiers draft.yaml --reason x", "simulate tiers --rules draft.yaml"])
def test_what_yaml_can_say_and_rules_cannot_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, text: str, says: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "draft.yaml").write_text(text, encoding="utf-8")
    assert tenure(monkeypatch, *shlex.split(words)) == 1
    told = capsys.readouterr()
    assert says in " ".join(told.err.split())
    assert told.out == ""


def test_a_draft_without_a_day_of_the_calendar_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "draft.yaml").write_text("effective: someday\n", encoding="utf-8")
    assert tenure(monkeypatch, "simulate", "earning", "--rules", str(folder / "draft.yaml")) == 1
    assert "effective: 'someday' is not a day of the calendar" in " ".join(capsys.readouterr().err.split())


def test_nobody_is_one_line() -> None:
    home = Home()
    home.prepare()
    with pytest.raises(NobodyError) as error:
        home.token("", "operator")
    assert failures.line(error.value) == "a subject has 1 to 128 characters, not 0"


def test_a_problem_says_where_it_is() -> None:
    errors = [{"pointer": "#/tiers/0/name", "message": "is missing", "message_zh": ""}]
    answer = {"code": "validation_failed", "detail": "Fields are wrong.", "errors": errors}
    said = str(ApiError(httpx.Response(422, json=answer)))
    assert said == "422 validation_failed: Fields are wrong.; #/tiers/0/name: is missing"


def test_a_day_that_is_not_there_yet_does_not_come_on_the_walls_clock() -> None:
    today = local_date(utc_now())
    check_came(Settings(clock="wall"), today)
    check_came(Settings(clock="events"), today + DAY)
    with pytest.raises(CalendarError, match="comes by itself"):
        check_came(Settings(clock="wall"), today + DAY)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("nosuch", 2, "No such command 'nosuch'; see `tenure --help`"),
        ("up --port 0", 2, "'--port'"),
        ("up --port 99999", 2, "'--port'"),
        ("up --broker rabbit", 2, "'rabbit' is not one of 'wheel', 'kafka'"),
        ("up --clock moon", 2, "'moon' is not one of 'events', 'wall'"),
        ("tick --to tomorrow", 2, "'tomorrow' is not a day of the calendar"),
        ("tick --to 2018-02-30", 2, "'2018-02-30' is not a day of the calendar"),
        ("tiers --as-of 2018-13-01 --csv x.csv", 2, "'2018-13-01' is not a day of the calendar"),
        ("tiers --csv x.csv", 2, "Missing option '--as-of'"),
        ("token --role core", 2, "Missing option '--subject'"),
        ("token --role core --subject c --ttl 0", 2, "'--ttl'"),
        ("wait --timeout 0", 2, "'--timeout'"),
        ("parked discard mall 1", 2, "Missing option '--reason'"),
        ("parked show mall one", 2, "Invalid value for 'seq'"),
        ("parked show mall 99999999999999999999", 2, "Invalid value for 'seq'"),
        ("parked replay --seq 3", 2, "say --service, too"),
        ("rules approve tiers R-1", 2, "Missing option '--reason'"),
        ("parked list --older-than 1e9", 2, "'--older-than'"),
        ("rules propose tiers nowhere.yaml --reason x", 1, "there is no file nowhere.yaml"),
        ("rules list", 1, NOT_UP),
        ("adjust nowhere.csv --as op-1 --dry-run", 1, "there is no file nowhere.csv"),
        ("adjust nowhere.csv", 2, "Missing option '--as'"),
        ("liability --as-of 2026-02-30", 2, "'2026-02-30' is not a day of the calendar"),
        ("liability", 1, NOT_UP),
        ("approve-adjustments B-1 --as op-2", 1, NOT_UP),
        ("simulate earning --rules nowhere.yaml", 1, "there is no file nowhere.yaml"),
        ("simulate tiers", 2, "Missing option '--rules'"),
        ("simulate tiers --rules nowhere.yaml", 1, "there is no file nowhere.yaml"),
        ("token --role core --subject c", 1, NOT_UP),
        ("reconcile", 2, "say a file, or --control with a comparison made before"),
        ("reconcile terms.csv", 2, "say which day the file is about"),
        ("reconcile --control C --accept", 2, "say why it is accepted: --reason"),
        ("reconcile --control C --ask-again --accept --reason x", 2, "say one of --ask-again and --accept"),
        ("reconcile --control C", 1, NOT_UP),
        ("status M-1", 1, NOT_UP),
        ("wait", 1, NOT_UP),
        ("wait --json", 1, NOT_UP),
        ("verify --json", 1, NOT_UP),
        ("verify ledger", 1, NOT_UP),
        ("verify statement nowhere.json --root 00", 1, "there is no file nowhere.json"),
        ("verify statement nowhere.json", 2, "Missing option '--root'"),
        ("tick --to 2018-12-31", 1, NOT_UP),
        ("parked list --json", 1, NOT_UP),
        ("parked replay", 1, NOT_UP),
        ("wallets --csv x.csv", 1, NOT_UP),
        ("import motor-portfolio nowhere.csv", 1, NOT_UP),
        ("replay motor-portfolio nowhere.csv --from 2016-01-01 --to 2016-02-01", 1, NOT_UP),
        ("demo --exit --json no/such/folder/out.json", 1, "there is no folder"),
    ],
)
def test_wrong_words_are_answered_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, status: int, says: str
) -> None:
    assert tenure(monkeypatch, *words.split()) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


@pytest.fixture
def noted_as_up(folder: Path) -> Home:
    """A platform that says it is up, though nobody answers: what a crash leaves."""
    home = Home()
    home.prepare()
    note = '{{"url": "{0}", "worker_url": "{0}", "database_url": "postgresql://postgres@127.0.0.1:1", "kafka": "127.0.0.1:1", "broker": "wheel", "clock": "events"}}'
    home.note.write_text(note.format("http://127.0.0.1:1"))
    return home


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("status M-1", "the platform does not answer (ConnectError); `tenure doctor` says why"),
        ("wallets --csv {folder}/x.csv", "the platform does not answer (ConnectError)"),
        ("verify", "the platform does not answer (ConnectError)"),
        ("wait", "the platform's PostgreSQL does not answer"),
        ("parked list", "the platform's PostgreSQL does not answer"),
        ("tick --to 2018-12-31", "the platform's PostgreSQL does not answer"),
        ("wallets --csv {folder}/no/such/x.csv", "x.csv: No such file or directory"),
        ("token --role king --subject k", "unknown roles ['king']"),
        ("token --role core --subject ''", "a subject has 1 to 128 characters, not 0"),
        ("import motor-portfolio {folder}/nowhere.csv", "there is no file"),
        ("replay motor-portfolio {folder}/empty.csv --from 2016-01-01 --to 2016-02-01", "empty.csv: "),
        ("replay motor-portfolio {folder}/other.csv --from 2016-01-01 --to 2016-02-01", "row 1: there is no column"),
        (
            "replay motor-portfolio {folder}/cut.csv.gz --from 2016-01-01 --to 2016-02-01",
            "Compressed file ended before",
        ),
        ("replay motor-portfolio {folder} --from 2018-02-01 --to 2018-01-01", "--to 2018-01-01 lies before --from"),
        ("parked show nosuch 1", "there is no service nosuch; there are policy-sync, tier-engine"),
    ],
)
def test_what_stands_in_the_way_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    noted_as_up: Home,
    words: str,
    says: str,
) -> None:
    (folder / "empty.csv").touch()
    (folder / "other.csv").write_text("a;b\n1;2\n")
    portfolio = Path(__file__).parents[3] / "examples" / "motor-portfolio" / "policies.csv.gz"
    (folder / "cut.csv.gz").write_bytes(portfolio.read_bytes()[:5_000])
    assert tenure(monkeypatch, *shlex.split(words.format(folder=folder))) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1


def test_too_few_words_are_answered_with_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tenure(monkeypatch, "parked") == 2
    assert "List parked events" in capsys.readouterr().err


def test_text_with_brackets_is_shown_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], noted_as_up: Home
) -> None:
    tenure(monkeypatch, "import", "motor-portfolio", "[red]/[/]x.csv")
    assert "there is no file [red]/[/]x.csv" in capsys.readouterr().err


def test_a_command_loads_nothing_of_what_serves_http() -> None:
    """It would take longer than all the rest of most commands."""
    said = subprocess.run(
        [sys.executable, "-c", "import sys, tenure_local.services, tenure_local.park_desk; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not {"fastapi", "uvicorn", "sqlalchemy", "alembic"} & set(said.stdout.split())
