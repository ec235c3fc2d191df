"""Child processes that cannot outlive their parent, and the clean-up of any that tried.

Belongs here: what the kernel offers for it, with the portable remainder. Does not: which processes there are.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable

import psutil

# What asks a program to end.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded here, not after fork, where taking the import lock could hang.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends (Linux; else nothing).

    parent: the expected parent; this process ends at once if it has already gone.
    A change of user id forgets it: call it after that.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def dying_with_me(signal_number: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` for subprocess: the child dies with the thread that calls Popen."""
    parent = os.getpid()

    def ask() -> None:
        die_with_parent(signal_number, parent)

    return ask


def handle_no_signals() -> None:
    """Forget the handlers that a forked process has from its parent: a signal that stops ends it from now on."""
    signal.set_wakeup_fd(-1)
    for number in (*STOPPING, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found (Linux; else nothing)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[psutil.Process]:
    """Every process below this one, zombies left out."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], grace_s: float, first: int = signal.SIGTERM) -> None:
    """Send `first` to all, wait up to `grace_s` seconds, then SIGKILL what is left and wait for that too."""
    alive = list(processes)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.send_signal(first)
    _, alive = psutil.wait_procs(alive, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
