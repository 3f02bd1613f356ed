"""Where skein is installed: found and not imported, which takes 0.3 s."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from rayyarn.errors import EnvironmentUnusable


def folder() -> Path:
    """The folder of the package, symbolic links as they are. Raises EnvironmentUnusable when there is none."""
    spec = find_spec("skein")
    if spec is None or not spec.origin:
        raise EnvironmentUnusable(
            "skein is not installed beside rayyarn", hint=f"{sys.executable} -m pip install skein"
        )
    return Path(os.path.abspath(spec.origin)).parent  # noqa: PTH100 - resolve() would follow links
