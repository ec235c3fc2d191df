"""docs/settings.md, and the same for a screen: every setting with its default and what it does. Pure.

Belongs here: the two layouts. Does not: the settings themselves.
"""

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.table import Table

from muninn.settings import Settings, variables

_HEAD = """# Settings

Every setting is an environment variable. This page is made by `muninn settings --markdown`; a test holds it to the
code. `muninn settings` shows the values in use.

"""


def markdown() -> str:
    """The page."""
    lines = [_HEAD]
    shown: str | None = ""
    for name, (section, field) in sorted(variables().items(), key=lambda item: item[1][0] or ""):
        if section != shown:
            shown = section
            lines.append(f"{'' if len(lines) == 1 else chr(10)}## {_title(section)}\n\n{_about(section)}\n\n")
            lines.append("| variable | default | what it does |\n|---|---|---|\n")
        info = _info(section, field)
        description = (info.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(info)} | {description} |\n")
    return "".join(lines)


def table(settings: Settings) -> Table:
    """The values in use; secrets are masked, those that differ from the default are bold."""
    found = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("variable", "value", "what it does"):
        found.add_column(head, overflow="fold")
    for name, (section, field) in variables().items():
        value = getattr(getattr(settings, section) if section else settings, field)
        info = _info(section, field)
        text = "***" if isinstance(value, SecretStr) else ("" if value is None else str(value))
        found.add_row(name, text if value == info.default else f"[bold]{text}[/bold]", info.description or "")
    return found


def _model(section: str | None) -> type[BaseModel]:
    if section is None:
        return Settings
    kind = Settings.model_fields[section].annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"{section} is no section of the settings")
    return kind


def _info(section: str | None, field: str) -> FieldInfo:
    return _model(section).model_fields[field]


def _title(section: str | None) -> str:
    return section.capitalize() if section else "General"


def _about(section: str | None) -> str:
    return "What concerns all programs." if section is None else (_model(section).__doc__ or "").strip()


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined or info.default is None or info.default == "":
        return "empty"
    text = str(info.default).lower() if isinstance(info.default, bool) else str(info.default)
    return f"`{text}`"
