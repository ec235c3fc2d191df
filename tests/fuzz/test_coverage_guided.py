"""All targets for a few seconds under a coverage-guided fuzzer; `make fuzz` runs each for a minute."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from targets import SEEDS_BY_NAME, TARGETS

EACH_S = int(os.environ.get("MUNINN_TEST_FUZZ_S", "0"))
SECONDS = EACH_S or 6
NAMES = [*TARGETS] if EACH_S else ["all"]
START_S = 120
# A scanner that writes where it may not is an error and no silence; what is compiled so is kept apart.
BOUNDS = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(Path(__file__).parents[2] / ".numba_bounds")}


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no build for this platform")
@pytest.mark.timeout(SECONDS + START_S + 10)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    found = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("cover.py")), name, str(SECONDS), str(tmp_path)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **BOUNDS},
        timeout=SECONDS + START_S,
    )
    crashes = {path.name: path.read_bytes()[:200] for path in tmp_path.glob("*-*") if not path.name.startswith("seed-")}
    told = f"{found.stdout[-3000:]}\n{found.stderr[-3000:]}"
    assert found.returncode == 0, f"{crashes}\n{told}"
    done = re.search(r"Done (\d+) runs in (\d+) second", told)
    assert done is not None, "it ran to its end"
    covered = re.findall(r"DONE\s+cov: (\d+)", told)
    record_property("executions", f"{int(done[1]):>10,} executions in {done[2]:>3} s, {covered[-1]:>6} edges reached")
    assert int(done[1]) > len(SEEDS_BY_NAME[name])
