"""The command line of rayyarn: parse, call one function of the library, render."""

import os
import sys

# In a shell that `rayyarn connect --shell` has made, PYTHONPATH holds the part of rayyarn that runs in containers, for
# environments without it. The command line needs all of rayyarn, which is where this package is.
sys.path[:] = [path for path in sys.path if not os.path.basename(path).startswith("rayyarn-runtime-")]  # noqa: PTH119
