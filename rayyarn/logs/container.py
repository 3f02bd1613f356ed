"""Which containers a cluster has and had, under the names that people call them by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn import access
from rayyarn.errors import RayYarnError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rayyarn.hadoop import Hadoop
    from rayyarn.rm import ResourceManager
    from rayyarn.yarn_report import App


@dataclass(frozen=True)
class Container:
    """``node``: head, worker-N or master; ``web``: host:port of its NodeManager; ``words``: YARN's, when it ended."""

    node: str
    id: str
    web: str = ""
    words: str = ""

    @property
    def host(self) -> str:
        """The host it ran on."""
        return self.web.rpartition(":")[0]

    def called(self, wanted: str) -> bool:
        """True when ``wanted`` is its node, its id or the end of it, or its host."""
        return wanted in (self.node, self.id, self.host, self.web) or (
            bool(re.fullmatch(r"\d{6,}", wanted)) and self.id.endswith(f"_{wanted}")
        )


def of_live(site: Hadoop, rm: ResourceManager, app: App, name: str) -> list[Container]:
    """The containers of a live application: also those that ended, when its master tells of them."""
    found = [Container("master", app.master, app.master_web)] if app.master else []
    try:
        with access.master(site, name, app) as master:
            listed = [one for one in master.containers() if one["container"]]
    except RayYarnError:  # it starts or ends: YARN knows what runs, though not what it is
        listed = [
            {"service": "container", "container": one["containerId"], "web": _address(one.get("nodeHttpAddress", "")),
             "exit_message": ""}
            for one in rm.containers(app) if one["containerId"] != app.master
        ]  # fmt: skip
    found += [
        Container(_node(one["service"]), one["container"], _address(one["web"]), one["exit_message"]) for one in listed
    ]
    return sorted(found, key=_order)


def ordered(containers: Sequence[Container]) -> list[Container]:
    """The head, the workers by number, the master."""
    return sorted(containers, key=_order)


def choose(containers: Sequence[Container], wanted: str | None, cluster: str) -> list[Container]:
    """Those of ``cluster`` that are meant by ``wanted``. Raises UsageError that names what there is."""
    if wanted is None:
        return list(containers)
    found = [one for one in containers if one.called(wanted)]
    if not found:
        there = ", ".join(dict.fromkeys(one.node for one in containers)) or "none"
        raise UsageError(
            f"no container is called {wanted!r}; there are: {there}", hint=f"rayyarn logs {cluster} --node head"
        )
    return found


def _node(service: str) -> str:
    """``head_0`` is the head, ``worker_3`` is worker-3: replacements of a lost worker have numbers of their own."""
    return "head" if service.startswith("head") else service.replace("_", "-")


def _address(web: str) -> str:
    return web.split("//", 1)[-1].rstrip("/")


def _order(one: Container) -> tuple[int, int, str]:
    number = re.search(r"\d+$", one.node)
    rank = {"head": 0, "master": 2}.get(one.node, 1)
    return rank, int(number[0]) if number else 0, one.id
