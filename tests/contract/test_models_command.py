"""`muninn models` as a person runs it: what it prints with no model, with some, and after one is brought back."""

import json
import os
import subprocess
import sys
from pathlib import Path

from muninn.model import Window
from muninn.store import models
from muninn.store.database import Database

MUNINN = Path(sys.executable).with_name("muninn")


def told(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    return subprocess.run(
        [str(MUNINN), "models", *arguments],
        env={**kept, "COLUMNS": "120", "MUNINN_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_models_are_listed_with_figures_and_reasons_and_one_is_brought_back(postgres_url: str) -> None:
    none = told(postgres_url, "list")
    assert (none.returncode, "There is no model yet" in none.stdout) == (0, True)
    with Database(postgres_url, pool_size=1) as database:
        first, second = (
            models.save(database, b"body", Window(0, 1), {"rows": rows}, why)
            for rows, why in ((400.0, "the first"), (500.0, "not better"))
        )
    done = told(postgres_url, "promote", str(first))
    assert (done.returncode, done.stdout) == (0, f"Model {first} is in use.\n")
    lines = told(postgres_url, "list").stdout.splitlines()
    assert lines[0].split()[0] == str(second), "the newest first"
    assert "candidate" in lines[0]
    assert "not better" in lines[0]
    assert lines[1].strip() == "rows 500"
    assert lines[2].split()[0] == str(first)
    assert "in use" in lines[2]
    found = json.loads(told(postgres_url, "list", "--json").stdout)
    assert {each["model_id"]: each["status"] for each in found} == {first: "in use", second: "candidate"}
    unknown = told(postgres_url, "promote", "999999")
    assert unknown.returncode != 0
    assert "999999" in unknown.stderr
    assert "Traceback" not in unknown.stderr
