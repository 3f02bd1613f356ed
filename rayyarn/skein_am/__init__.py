"""Skein: its driver (a JVM on the edge that submits) and its ApplicationMaster (who owns the containers).

The only package on the edge that imports skein, which sleeps since 2022: whoever replaces it writes this folder anew.
Skein's own calls have no time limit, read web proxies from the environment and print; here every call has a limit,
proxies are off, and every exception becomes one of ours. Facts: skein 0.8.2, core.py and the Java sources.
"""

from __future__ import annotations

from rayyarn.skein_am.driver import Driver
from rayyarn.skein_am.master import AppMaster
from rayyarn.skein_am.wire import Credentials, DriverUnreachable, MasterUnreachable, new_credentials, translate

__all__ = ["AppMaster", "Credentials", "Driver", "DriverUnreachable", "MasterUnreachable",
           "new_credentials", "translate"]  # fmt: skip
