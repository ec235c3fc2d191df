"""Nothing in the repository ties it to one machine or one registry."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In two parts, so that this file does not find itself.
FORBIDDEN = [
    r"pypi\." + "org",
    "python" + "hosted",
    r"registry\.npm" + "js",
    r"deb\.debian\." + "org",
    re.escape(str(ROOT)),
]


def tracked_text() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        try:
            found.append((name, (ROOT / name).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return found


def test_no_registry_host_and_no_path_of_this_machine() -> None:
    files = tracked_text()
    assert files
    pattern = re.compile("|".join(FORBIDDEN))
    assert [(name, match.group()) for name, text in files if (match := pattern.search(text))] == []


def test_every_locked_package_has_a_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        lines = lock.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if "==" in line and not line.startswith("#"):
                assert line.endswith("\\"), f"{lock.name}:{number + 1} has no hash"
                assert "--hash=sha256:" in lines[number + 1]
