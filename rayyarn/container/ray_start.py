"""``ray start`` that has its imports behind it before it is told what to start.

    python -m rayyarn.container.ray_start < arguments

The import of Ray's command line takes one to two CPU seconds. A worker spends them while the head comes up, and every
node while its supervisor makes itself known. One line on standard input, a JSON list, has the arguments of ``ray``.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Import, wait for the arguments, and be ``ray``. An input that ends without them: there is nothing to start."""
    from ray.scripts.scripts import main as ray

    line = sys.stdin.readline()
    if not line:
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    sys.argv = ["ray", *json.loads(line)]
    ray()


if __name__ == "__main__":
    main()
