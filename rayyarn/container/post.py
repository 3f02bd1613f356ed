"""A supervisor's line to the ApplicationMaster's store: it says how its node is and hears whether to go on."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

from rayyarn import store
from rayyarn.errors import RayYarnError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rayyarn.skein_am import AppMaster

# The master's host is there and nobody listens on its port: the master is gone, not the network.
_REFUSED_SECONDS = 5.0
# No answer at all: a partition or a paused machine may pass.
_SILENT_SECONDS = 60.0


class Post:
    """The store as seen from the container ``state.container``. Calls that fail are remembered, not raised."""

    def __init__(self, master: AppMaster, state: store.NodeState, clock: Callable[[], float] = time.monotonic) -> None:
        self._master, self._clock = master, clock
        self.state = state
        self._said: store.NodeState | None = None
        self._announced = False
        self._answered = clock()
        self._refused: float | None = None
        self._lease = (b"", clock())

    @property
    def master(self) -> str:
        """Host and port of the application's master."""
        return self._master.address

    def announce(self) -> None:
        """Enter this container among the living."""
        owner = self.state.service
        said = self._try(lambda: self._master.write(store.ALIVE + self.state.container, b"", owner=owner))
        self._announced = said is not None

    def say(self, state: store.NodeState) -> None:
        """Publish the node's state when it has changed, or when the master did not hear it the last time."""
        self.state = state
        if state != self._said:
            owner, key = state.service, store.NODE + state.container
            if self._try(lambda: self._master.write(key, state.to_json(), owner=owner)) is not None:
                self._said = state

    def publish(self, key: str, value: bytes, *, owned: bool = True) -> bool:
        """Set a key of the cluster, going with this container when ``owned``. False: the master did not hear it."""
        owner = self.state.service if owned else None
        return self._try(lambda: self._master.write(key, value, owner=owner)) is not None

    def read(self, key: str) -> bytes | None:
        """A key's value; None when it is not there or the master does not answer."""
        found = self._try(lambda: self._master.read(key))
        return found.get(key) if isinstance(found, dict) else None

    def keys(self, prefix: str) -> dict[str, bytes] | None:
        """All keys that begin with ``prefix``; None when the master does not answer."""
        found = self._try(lambda: self._master.read(prefix))
        return found if isinstance(found, dict) else None

    def forget(self, prefix: str) -> bool:
        """Remove all keys that begin with ``prefix``. False: the master did not hear it."""
        return self._try(lambda: self._master.remove(prefix)) is not None

    def containers(self) -> list[dict[str, Any]] | None:
        """Every container ever asked for, see ``AppMaster.containers``; None when the master does not answer."""
        found = self._try(self._master.containers)
        return found if isinstance(found, list) else None

    def scale(self, service: str, count: int) -> bool:
        """Ask for containers, see ``AppMaster.scale``. False: the master did not hear it."""
        return self._try(lambda: self._master.scale(service, count)) is not None

    def kill(self, instance: str) -> bool:
        """End a container, see ``AppMaster.kill``. False: the master did not hear it, or it has ended already."""
        return self._try(lambda: self._master.kill(instance)) is not None

    def show(self, route: str, target: str, title: str) -> bool:
        """Have the application's page link to ``target``. False: the master did not hear it."""
        return self._try(lambda: self._master.add_page(route, target, title)) is not None

    def progress(self, share: float) -> None:
        """Have YARN show how far the cluster is; see ``rayyarn.store.progress``."""
        self._try(lambda: self._master.progress(share))

    def end(self, status: str, why: str) -> None:
        """End the whole application."""
        self._try(lambda: self._master.shutdown(status, why))

    def verdict(self) -> str | None:
        """Why this supervisor must stop, or None to go on."""
        key = store.ALIVE + self.state.container
        if not self._announced:  # the master was silent then: a key that was never there is not a key taken away
            self.announce()
        found = self._try(lambda: self._master.read(key))
        if isinstance(found, dict):
            return None if key in found or not self._announced else "told to stop"
        silent = self._clock() - self._answered
        if self._refused is not None and self._clock() - self._refused >= _REFUSED_SECONDS:
            return "the application master is gone"
        return f"no word from the application master for {silent:.0f} s" if silent >= _SILENT_SECONDS else None

    def lease_over(self) -> bool:
        """True when nobody waits for this cluster any more and nobody has confirmed it."""
        found = self._try(lambda: self._master.read("lease/"))
        if not isinstance(found, dict):
            return False
        if store.CONFIRMED in found:
            return False
        count = found.get(store.LEASE, b"")
        if count != self._lease[0]:
            self._lease = (count, self._clock())
        return self._clock() - self._lease[1] >= store.LEASE_SECONDS

    def _try(self, call: Callable[[], object]) -> object:
        """The call's result (True for None), or None when the master does not answer."""
        try:
            result = call()
        except RayYarnError as error:
            logging.warning("%s: %s", error, error.log)
            self._note_refusal()
            return None
        self._answered, self._refused = self._clock(), None
        return True if result is None else result

    def _note_refusal(self) -> None:
        host, _, port = self._master.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            self._refused = self._clock() if self._refused is None else self._refused
        except OSError:
            self._refused = None
