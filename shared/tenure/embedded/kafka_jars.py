"""Apache Kafka's jars, resolved by Maven once per version of the pom.

The invariant: the folder is whole or absent. Maven writes beside it and the result is renamed into place, under a lock,
so neither a killed Maven nor parallel test workers leave half of it.
"""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

_MAVEN_DEADLINE_S = 600.0


class NoKafkaJarsError(RuntimeError):
    """Apache Kafka's jars cannot be had here; the message says what is missing."""


def kafka_jars() -> Path:
    """The folder of jars, resolved if need be. Raises NoKafkaJarsError."""
    if missing := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
        raise NoKafkaJarsError(f"not on the path: {', '.join(missing)}")
    pom = _pom()
    target = pom.parent / "target"
    target.mkdir(exist_ok=True)
    jars = target / f"libs-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    with (target / "libs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _resolve(pom, jars)
    return jars


def _pom() -> Path:
    for folder in Path(__file__).resolve().parents:
        pom = folder / "deploy" / "kafka" / "pom.xml"
        if pom.exists():
            return pom
    raise NoKafkaJarsError("deploy/kafka/pom.xml is not there: Tenure was installed without its source tree")


def _resolve(pom: Path, jars: Path) -> None:
    unfinished = jars.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"]
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), *goal],
        check=False,
        capture_output=True,
        text=True,
        timeout=_MAVEN_DEADLINE_S,
    )
    if done.returncode or not unfinished.exists():
        raise NoKafkaJarsError(f"Maven ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    unfinished.rename(jars)
