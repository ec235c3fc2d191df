"""Runbooks where they are needed: those that come with Muninn are read on the page, others are links.

Belongs here: finding and showing one. Does not: what is in them (docs/runbooks).
"""

import re
from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parents[1] / "docs" / "runbooks"
_NAME = re.compile(r"(?:docs/runbooks/)?([A-Za-z0-9_-]+)(?:\.md)?")
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")


def text_of(runbook: str) -> str | None:
    """The text of a runbook that comes with Muninn, by its name or path; None for any other."""
    found = _NAME.fullmatch(runbook)
    if found is None:
        return None
    try:
        text = (FOLDER / f"{found[1]}.md").read_text(encoding="utf-8")
    except OSError:
        return None
    # Other files of docs/ are not pages here.
    return _LINK.sub(r"\1", text)


def show(runbook: str, *, kind: str = "secondary") -> None:
    """A button that opens it; nothing where there is none."""
    icon = ":material/menu_book:"
    text = text_of(runbook)
    if text is not None:
        with st.popover("Runbook", icon=icon, type="tertiary" if kind == "tertiary" else "secondary"):
            st.markdown(text, width=620)
            st.caption(f"docs/runbooks/{Path(runbook).stem}.md")
    elif runbook.startswith(("http://", "https://")):
        st.link_button("Runbook", runbook, icon=icon, type="tertiary" if kind == "tertiary" else "secondary")
    elif runbook:
        st.caption(f"Runbook: `{runbook.replace('`', '')}`")
