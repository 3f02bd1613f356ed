"""Ray's dashboard agent, which does not write down each second that there is no dashboard.

    python -m rayyarn.container.ray_agent AGENT.PY ARGUMENTS...

It asks for the dashboard's address until there is one, and logs each vain look with a traceback (event_agent.py, Ray
2.60): 86 MB a day and node in YARN's logs, while nobody has asked for a dashboard. It goes on asking.
"""

from __future__ import annotations

import logging
import runpy
import sys

_VAIN = "Get dashboard http address failed."


def main() -> None:
    """Be AGENT.PY."""
    looks = logging.getLogger("ray.dashboard.modules.event.event_agent")
    looks.addFilter(lambda record: record.getMessage() != _VAIN)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
