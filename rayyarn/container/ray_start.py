"""``ray start`` that has its imports behind it before it is told what to start.

    python -m rayyarn.container.ray_start < arguments

The import of Ray's command line takes one to two CPU seconds. A worker spends them while the head comes up, and every
node while its supervisor makes itself known. One line on standard input, a JSON list, has the arguments of ``ray``.
"""

from __future__ import annotations

import json
import os
import sys

# Commands beside ``start`` that Ray's command line does without where they cannot be imported (ray/scripts/scripts.py).
# They take 0.35 of the 0.9 CPU seconds of its import (Ray 2.60), most of it aiohttp.
_NEEDLESS = ("ray.dashboard.modules.job.cli", "ray.util.state.state_cli", "ray.serve.scripts")


def main() -> None:
    """Import, wait for the arguments, and be ``ray``. An input that ends without them: there is nothing to start."""
    sys.modules.update(dict.fromkeys(_NEEDLESS))  # type: ignore[arg-type]  # None: not to be imported
    from ray.scripts.scripts import main as ray

    for name in _NEEDLESS:
        del sys.modules[name]
    line = sys.stdin.readline()
    if not line:
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    sys.argv = ["ray", *json.loads(line)]
    ray()


if __name__ == "__main__":
    main()
