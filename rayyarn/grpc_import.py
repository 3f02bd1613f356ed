"""gRPC, and what is built on it, imported so that it leaves our forks alone."""

from __future__ import annotations

import importlib
import os
from typing import Any

_SWITCH = "GRPC_ENABLE_FORK_SUPPORT"


def load(module: str = "grpc") -> Any:
    """Import ``module``. A process that talks gRPC can then start others with ``preexec_fn``.

    Else gRPC stops its threads around the fork and starts them again in the child, whose descriptors Python is just
    closing: the child aborts with "epoll_wait error: Bad file descriptor" before its exec. 50 of 1,500 did while calls
    were made (grpcio 1.85, from 1.80 on: github.com/grpc/grpc/issues/43055), none of 1,500 after this.

    The switch is read when gRPC is first imported, so it need not stay: it would be inherited by the user's program,
    which may want it otherwise. Who has set it keeps his setting.
    """
    if _SWITCH in os.environ:
        return importlib.import_module(module)
    os.environ[_SWITCH] = "0"
    try:
        return importlib.import_module(module)
    finally:
        del os.environ[_SWITCH]
