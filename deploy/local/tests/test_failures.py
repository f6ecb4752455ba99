"""Every failure that can happen to anyone is one line; a mistake of ours is not dressed up as one."""

import asyncpg
import httpx
import pytest
from tenure.embedded.choose import NoDurableKafkaError
from tenure.embedded.server import ServerFailedError
from tenure.settings import SettingsError
from tenure.spine.log import PartitionsDiffer, WorldDown
from tenure_local.failures import line
from tenure_local.holding import HeldError

LOG = """the worker ended with status 1; its log:
Traceback (most recent call last):
  File "process.py", line 1, in run
tenure.programme.ProgrammeError: tiers.yaml: levels.2: the threshold is missing
"""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ServerFailedError(LOG), "the worker ended with status 1: tenure.programme.ProgrammeError: tiers.yaml"),
        (
            ServerFailedError("PostgreSQL ended with status 2; its log:\n"),
            "PostgreSQL ended with status 2: it wrote nothing",
        ),
        (NoDurableKafkaError("no Docker; not on the path: mvn\nor java"), "not on the path: mvn; or java"),
        (SettingsError("TENURE_PORT: too high\nTENURE_KAFKA: empty"), "TENURE_PORT: too high; TENURE_KAFKA: empty"),
        (httpx.ConnectError("refused"), "the platform does not answer (ConnectError)"),
        (httpx.ReadTimeout(""), "the platform does not answer (ReadTimeout)"),
        (WorldDown("creating topics: no answer"), "the broker does not answer (creating topics: no answer)"),
        (
            PartitionsDiffer("policy.v1 has 8 partitions, not 6"),
            "the broker's topics are not Tenure's: policy.v1 has 8",
        ),
        (ConnectionRefusedError(111, "refused"), "the platform's PostgreSQL does not answer"),
        (TimeoutError(), "the platform's PostgreSQL does not answer (TimeoutError)"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "PostgreSQL says: the database system"),
        (PermissionError(13, "Permission denied", "/data"), "/data: Permission denied"),
        (HeldError(4711), "another tenure command (process 4711)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_is_one_line(error: Exception, says: str) -> None:
    said = line(error)
    assert said is not None
    assert says in said
    assert "\n" not in said


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), TypeError("no")])
def test_a_mistake_of_ours_keeps_its_traceback(error: Exception) -> None:
    assert line(error) is None
