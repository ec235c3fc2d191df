"""Every link of the documents leads somewhere: to a file of this repository, to a heading in it, to an image."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_SRC = re.compile(r"""<(?:img|a)\b[^>]*?\b(?:src|href)=["']([^"']+)""")
# A file that is named in the text, from the root of the repository on.
_NAMED = re.compile(
    r"(?<![\w./-])(?:assets|bench|docs|muninn|pipelines|requirements|sql|streamlit_app|tests)(?:/[\w.-]+)+"
)


def tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


@cache
def links(document: Path) -> tuple[str, ...]:
    found: list[str] = []
    for token in tokens(document.read_text(encoding="utf-8")):
        found += [str(token.attrs[name]) for name in ("href", "src") if name in token.attrs]
        if token.type in ("html_block", "html_inline"):
            found += _SRC.findall(token.content)
    return tuple(found)


@cache
def anchors(document: Path) -> frozenset[str]:
    """As a code host makes them of headings: lower case, without punctuation, spaces as hyphens."""
    found, seen = set(), Counter[str]()
    previous = ""
    for token in tokens(document.read_text(encoding="utf-8")):
        if previous == "heading_open" and token.type == "inline":
            text = "".join(child.content for child in token.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        previous = token.type
    return frozenset(found)


@cache
def tracked() -> frozenset[Path]:
    """Every file that a clone has, and the folders above it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {ROOT / name for name in filter(None, listed.split("\0"))}
    return frozenset(files | {folder for file in files for folder in file.parents})


def fault(document: Path, link: str) -> str | None:
    """What is wrong with a link of a document, if anything is."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (document.parent / unquote(parts.path)).resolve() if parts.path else document
    if target not in tracked():
        return f"{link}: there is no such file"
    if parts.fragment and (target.suffix != ".md" or parts.fragment not in anchors(target)):
        return f"{link}: there is no such heading"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [said for link in links(document) if (said := fault(document, link))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(document: Path) -> None:
    named = {
        name.rstrip(".")
        for token in tokens(document.read_text(encoding="utf-8"))
        if token.type == "code_inline" and not any(sign in token.content for sign in "*{<…")
        for name in _NAMED.findall(token.content)
    }
    assert sorted(name for name in named if ROOT / name not in tracked()) == []


def test_broken_links_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "one.md"
    document.write_text("# A *very* `good` one, really\n\n## Twice\n\n## Twice\n\n[a](#twice-1) <img src='no.png'>\n")
    assert anchors(document) == {"a-very-good-one-really", "twice", "twice-1"}
    assert links(document) == ("#twice-1", "no.png")
    readme = ROOT / "README.md"
    assert (
        fault(readme, "docs/queries.md#no-such-heading") == "docs/queries.md#no-such-heading: there is no such heading"
    )
    assert fault(readme, "docs/no.md") == "docs/no.md: there is no such file"
    assert fault(readme, "docs/images/overview.png") is None


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = [folder / link for link in links(folder / "README.md")]
    assert listed == sorted(folder.glob("[0-9]*.md"))


def test_every_image_is_shown_somewhere() -> None:
    shown = {(document.parent / urlsplit(link).path).resolve() for document in DOCUMENTS for link in links(document)}
    assert [path.name for path in sorted((ROOT / "docs" / "images").iterdir()) if path not in shown] == []
