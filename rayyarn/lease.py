"""The sign of life of an `up` that waits: while it is renewed, an unconfirmed cluster goes on."""

from __future__ import annotations

import contextlib
import secrets
import threading
from typing import TYPE_CHECKING, Self

from rayyarn import store
from rayyarn.errors import RayYarnError

if TYPE_CHECKING:
    from rayyarn.skein_am import AppMaster

_EVERY = 1.0


class Lease:
    """Renews the lease of one application from a thread, until the ``with`` block ends."""

    def __init__(self, master: AppMaster) -> None:
        self._master = master
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="rayyarn-lease", daemon=True)

    def confirm(self) -> None:
        """The cluster is somebody's now: it lives without a lease."""
        self._master.write(store.CONFIRMED, b"1")

    def _renew(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(RayYarnError):  # the waiting `up` sees a lost master by itself
                self._master.write(store.LEASE, secrets.token_hex(4).encode())
            self._over.wait(_EVERY)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
