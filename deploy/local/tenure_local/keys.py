"""Makes a platform's keys once: `python -m tenure_local.keys FOLDER`, the `init` container of docker-compose.yml.

The invariant: the key that signs tokens stays in the platform's own folder (`TENURE_DATA_DIR`); FOLDER, which every service
reads, gets only the public key and the services' token. What is there already is kept.
"""

import sys
from pathlib import Path

from tenure_local.home import Home

TO_READ_MODE = 0o400


def hand_out(home: Home, folder: Path) -> list[Path]:
    """Copy what services need of a prepared home into `folder`. Returns the files that were new."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / source.name: source for source in (home.public_key, home.service_token)}
    new = [target for target in wanted if not target.exists()]
    for target in new:
        target.touch(mode=0o600)
        target.write_bytes(wanted[target].read_bytes())
        target.chmod(TO_READ_MODE)
    return new


def main(words: list[str]) -> int:
    if len(words) != 1:
        print("usage: python -m tenure_local.keys FOLDER", file=sys.stderr)
        return 2
    home = Home()
    home.prepare()
    for path in hand_out(home, Path(words[0])):
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
