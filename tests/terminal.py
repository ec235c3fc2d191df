"""`muninn` commands as a person runs them: on a terminal of its own, or into pipes."""

import errno
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

MUNINN = Path(sys.executable).with_name("muninn")
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**environ: str) -> dict[str, str]:
    """The environment without settings of Muninn, but for these; a terminal wide enough for every table."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    return {**kept, "COLUMNS": "180", "LINES": "50", "TERM": "xterm", **environ}


def piped(*arguments: str, folder: Path, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command into pipes; typed: what it reads."""
    return subprocess.run(
        [str(MUNINN), *arguments],
        env=environment(**environ),
        cwd=folder,
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def on_terminal(*arguments: str, folder: Path, **environ: str) -> tuple[int, str]:
    """Run a command on a pseudo terminal: its exit code, and all that was ever shown, without colours and moves."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [str(MUNINN), *arguments],
            env=environment(**environ),
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = bytearray()
        try:
            while piece := terminal.read(1 << 16):
                shown += piece
        except OSError as error:  # on Linux the end of a terminal is an error
            if error.errno != errno.EIO:
                raise
    return process.wait(120), _CODES.sub("", shown.decode()).replace("\r", "\n")
