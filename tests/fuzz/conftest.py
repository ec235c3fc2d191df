"""The fuzz targets are imported as `targets`; what the coverage-guided ones did is told at the end."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a target."""
    for report in terminalreporter.stats.get("passed", []):
        if found := dict(report.user_properties).get("executions"):
            name = report.nodeid.rpartition("[")[2].rstrip("]")
            terminalreporter.write_line(f"{name:>22} {found}")
