"""What a process asks of the kernel about its family: prctl(2), Linux only."""

from __future__ import annotations

import ctypes

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: between fork and exec nothing may be


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent died: Ray's workers then stay below us."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(signum: int) -> None:
    """Get ``signum`` when the thread ends that started this process. For ``preexec_fn``."""
    _libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
