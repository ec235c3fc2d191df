"""Files and functions stay small enough to be read in one go, and each module says what it is."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("muninn", "assets", "pipelines", "streamlit_app", "bench", "tests")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


@dataclass(frozen=True)
class Module:
    """What is measured of a file; its tree is not kept."""

    lines: int
    functions: tuple[tuple[str, int], ...]
    says_what_it_is: bool


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and lines of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield node.name, node.end_lineno - node.lineno + 1


def measured(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return Module(len(text.splitlines()), tuple(functions(tree)), not text.strip() or bool(ast.get_docstring(tree)))


@cache
def modules() -> dict[str, Module]:
    """Every module, by its path from the root."""
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {str(path.relative_to(ROOT)): measured(path) for path in paths}


def test_it_measures() -> None:
    assert len(modules()) > 400
    own = modules()["tests/architecture/test_sizes.py"]
    assert 50 < own.lines < 100
    assert ("measured", 4) in own.functions


def test_files_are_small() -> None:
    assert [(name, module.lines) for name, module in modules().items() if module.lines > MAX_FILE_LINES] == []


def test_functions_are_small() -> None:
    found = [(name, *each) for name, module in modules().items() for each in module.functions]
    assert [each for each in found if each[2] > MAX_FUNCTION_LINES] == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name, module in modules().items() if not module.says_what_it_is] == []
