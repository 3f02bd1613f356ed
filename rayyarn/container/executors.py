"""On which hosts a Spark application runs executors, asked from inside a container without keeping anybody waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import spark_apps
from rayyarn.errors import RayYarnError
from rayyarn.hadoop import Hadoop
from rayyarn.rm import ResourceManager

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Answer:
    """``hosts``: how many executors run where. ``over``: the application has ended. ``trouble``: why nobody knows."""

    hosts: dict[str, int] = field(default_factory=dict)
    over: bool = False
    trouble: str = ""


class Executors:
    """Those of the application ``app_id``, as the ResourceManagers at ``addresses`` and Spark's own page tell."""

    def __init__(self, app_id: str, addresses: Sequence[str], user: str) -> None:
        # The edge's addresses, and not what this node has in a Hadoop configuration: that is often not ours to read.
        site = Hadoop(Path("/"), "the edge", {}, {"HADOOP_USER_NAME": user})
        self._rm = ResourceManager(site, addresses=addresses)
        self._app_id = app_id
        self._asking: threading.Thread | None = None
        self._answer: Answer | None = None

    def ask(self) -> None:
        """Begin to ask, unless that goes on: a ResourceManager that is away takes its time, a supervisor has none."""
        if self._asking is None:
            self._answer = None
            self._asking = threading.Thread(target=self._ask, name="rayyarn-executors", daemon=True)
            self._asking.start()

    def answer(self) -> Answer | None:
        """What came out, once; None while nothing was asked or the answer is on its way."""
        if self._asking is None or self._asking.is_alive():
            return None
        self._asking, found = None, self._answer
        return found or Answer(trouble="the question ended without an answer")

    def _ask(self) -> None:
        try:
            app = self._rm.app(self._app_id)
            if app is None or not app.live:
                self._answer = Answer(over=True)
            else:
                self._answer = Answer(spark_apps.executors(self._rm, app))
        except RayYarnError as error:
            self._answer = Answer(trouble=f"{error.message}{': ' + error.log if error.log else ''}")
        except Exception as error:  # an answer of another shape than any we know: no reason to change anything
            self._answer = Answer(trouble=f"the answer was not understood: {error!r}")
