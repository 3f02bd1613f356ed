"""The edge's own Ray node: no CPUs, so nothing is scheduled on it, but a driver needs a raylet on its own machine.

``python -m rayyarn.container.edge_node``, started by ``rayyarn.edge`` in a session of its own: an interrupt in a
notebook must not reach it. It lives as long as its standard input is open, which the kernel closes with its owner.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

from rayyarn import prctl
from rayyarn.container import processes, ray_environ
from rayyarn.container.gcs import Gcs
from rayyarn.container.ray_node import RayNode, RayShare

# An edge node keeps no objects of its own beyond what its driver puts and gets; Ray's minimum is 75 MiB.
_STORE = 200 << 20
_TICK = 0.1
_TRIES = 3


def main() -> int:
    """Join the cluster named on standard input, say so on standard output, stay until the owner is gone."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = Path.cwd()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _drop_everything)
    told = json.loads(sys.stdin.readline())
    try:
        Gcs(told["address"], Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()).has_head()
    except PermissionError:  # `ray start` would try for 20 s and not say why
        _tell_owner("refused")
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    prctl.adopt_orphans()
    share = RayShare(cpus=0, gpus=0, heap=0, object_store=_STORE)
    environ = {**os.environ, **ray_environ.PROMPT}
    node = RayNode(folder, folder / "ray-start.log", told["ip"], told["name"], share, environ)
    try:
        return _stay(node, told["address"])
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _stay(node: RayNode, address: str) -> int:
    for _ in range(_TRIES):
        node.start(address)
        said = False
        while (failure := node.failure()) is None:
            if not said and node.registered():
                said = True
                _tell_owner("ready")
            if _owner_gone():
                return 0
            processes.reap(but={node.pid})
        logging.error("Ray failed: %s", failure)
        node.stop()
        if _owner_gone():
            return 0
    _tell_owner(f"failed {failure}")
    return 1


def _tell_owner(line: str) -> None:
    """Standard output is a pipe to the program that has started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _owner_gone() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], _TICK)
    return bool(readable) and not sys.stdin.read(1)


def _drop_everything(signum: int, _: object) -> NoReturn:
    processes.kill_all()
    shutil.rmtree(Path.cwd(), ignore_errors=True)
    os._exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
