"""docs/duckdb.md prints what its statements give."""

from pathlib import Path

import tutorial


def test_every_statement_gives_what_the_page_says(postgres_url: str, tmp_path: Path) -> None:
    page = tutorial.PAGE.read_text(encoding="utf-8")
    assert len(tutorial.BLOCK.findall(page)) >= 7
    with tutorial.session(postgres_url, tmp_path / "cold") as opened:
        assert tutorial.renewed(opened, page) == page, "renew it: .venv/bin/python tests/tutorial.py"
