"""From a spec to the application document that Skein is given: pure, so that ``--dry-run`` can print all of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rayyarn import register, sizing
from rayyarn.hadoop import QUICK_JVM
from rayyarn.placement import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.placement import Placement
    from rayyarn.shipment import Shipment
    from rayyarn.spec import ClusterSpec

# Skein's master has a fixed heap of 128 MB; JVM, native TLS and gRPC come to about 300 MB beside it.
_MASTER_MIB = 512
# As soon as there is a link on it, Skein's page reads java.util.TreeMap$Entry by reflection, which Java forbids from 16
# on: an error 500 (skein 0.8.2, Java 17). Java 8 knows no such option, and does not read this variable either.
_LINKS = {"JDK_JAVA_OPTIONS": "--add-opens=java.base/java.util=ALL-UNNAMED"}
# YARN's launch script puts environment values between double quotes as they are: JSON would lose its own.
_SCRIPT = """\
export RAYYARN_NAME='{name}' RAYYARN_NODE='{told}'
export PYTHONPATH="{paths}"
if [ -f environment/bin/activate ]; then source environment/bin/activate; fi
export PATH="$PWD/environment/bin:$PATH"
exec environment/bin/python -m rayyarn.container.supervisor
"""


@dataclass(frozen=True)
class Secrets:
    """Local files (0600) that Skein uploads for this application alone. ``files``: small extra ones, by name."""

    token: str
    variables: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def build(
    spec: ClusterSpec,
    *,
    fingerprint: str,
    shipments: tuple[Shipment, ...],
    secrets: Secrets,
    owner: str,
    launch: str,
    admins: tuple[str, ...] = (),
    lease: bool = True,
    placement: Placement = ANYWHERE,
    rm: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The application document: one head, its workers, one environment.

    Skein places all containers of a service alike: workers that are bound to hosts are a service for each host.
    ``launch`` names this one `up` among others. ``admins`` may look at the application's pages, as ``owner`` may.
    ``lease``: the cluster ends itself when the `up` that waits for it dies too early.
    ``rm``: the ResourceManagers' web addresses, for a head that keeps beside a Spark application.

    A lost head ends the application; a lost worker is replaced for ever (Skein would end the application otherwise).
    """
    files = _files(shipments, secrets)
    paths = ":".join(_python_paths(shipments))

    def script(told: dict[str, Any]) -> str:
        return _SCRIPT.format(name=spec.name, told=_quoted(told), paths=paths)

    viewers = list(dict.fromkeys((owner, *admins)))
    told = _told(spec, head=True, lease=lease, workers=placement.workers(spec)) | {"viewers": viewers}
    told |= {"keep_beside": _kept(spec, placement, rm, owner)} if spec.keep_beside else {}
    document: dict[str, Any] = {
        "name": f"{register.TAG}-{spec.name}",
        "tags": [
            *register.tags(spec.name, spec.digest(), fingerprint, placement.workers(spec)),
            register.launch_tag(launch),
            *_beside_tags(spec, placement),
        ],
        "max_attempts": 1,  # a second master would know nothing of the first one's containers
        "acls": {"enable": True, "view_users": [owner], "modify_users": [owner], "ui_users": viewers},
        "master": {
            "resources": {"memory": f"{_MASTER_MIB} MiB", "vcores": 1},
            "env": {"JAVA_TOOL_OPTIONS": " ".join(QUICK_JVM), **_LINKS},
            "log_level": "INFO",
        },
        "services": {
            "head": _head({"files": files, "script": script(told)}, spec, placement),
            **_workers({"files": files, "script": script(_told(spec, head=False))}, spec, placement),
        },
    }
    if spec.queue:
        document["queue"] = spec.queue
    if spec.node_label:
        document["node_label"] = spec.node_label
    return document


def _beside_tags(spec: ClusterSpec, placement: Placement) -> list[str]:
    found = [register.beside_tag(placement.beside)] if placement.beside else []
    return [*found, register.KEPT] if spec.keep_beside else found


def _head(known: dict[str, Any], spec: ClusterSpec, placement: Placement) -> dict[str, Any]:
    return {
        "instances": 1,
        "resources": {"memory": _mib(spec.head.memory), "vcores": max(1, spec.head.cpus)},
        **known,
        **({"nodes": list(placement.head_hosts), "relax_locality": False} if placement.head_hosts else {}),
    }


def _workers(known: dict[str, Any], spec: ClusterSpec, placement: Placement) -> dict[str, Any]:
    """The worker services: one, or one for each host that workers are bound to, now or perhaps later."""
    resources = {"memory": _mib(spec.worker.memory), "vcores": max(1, spec.worker.cpus)}
    worker: dict[str, Any] = {
        "instances": spec.workers,
        "resources": resources | ({"gpus": spec.worker.gpus} if spec.worker.gpus else {}),
        "max_restarts": -1,
        "allow_failures": True,
        **known,
    }
    if not placement.hosts:
        return {"worker": worker | ({"racks": list(spec.racks), "relax_locality": False} if spec.racks else {})}
    bound = {"relax_locality": not placement.strict}
    counts = [(host, placement.per_host) for host in placement.hosts] + [(host, 0) for host in placement.later]
    return {
        f"worker{number}": worker | bound | {"instances": count, "nodes": [host]}
        for number, (host, count) in enumerate(counts, start=1)
    }


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it may be shown: it names secret files, and holds no secret."""
    shown: dict[str, Any] = json.loads(json.dumps(document))
    for service in shown["services"].values():
        for file in service["files"].values():
            if file["source"].startswith("file:"):  # they may be secrets, and so may be where they lie
                file["source"] = "***"
    return shown


def _files(shipments: tuple[Shipment, ...], secrets: Secrets) -> dict[str, Any]:
    files: dict[str, Any] = {
        shipment.alias: {
            "source": shipment.uri,
            "type": "archive" if shipment.archive else "file",
            "visibility": shipment.visibility,
        }
        for shipment in shipments
    }
    # `application`: deleted with the application; a `private` file would stay in each node's cache.
    for alias, path in (("token", secrets.token), ("variables.json", secrets.variables), *secrets.files.items()):
        if path:
            files[alias] = {"source": f"file://{path}", "type": "file", "visibility": "application"}
    return files


def _python_paths(shipments: tuple[Shipment, ...]) -> list[str]:
    return ["$PWD/" + f"{ship.alias}/{path}".rstrip("/") for ship in shipments for path in ship.paths]


def _told(spec: ClusterSpec, *, head: bool, lease: bool = False, workers: int = 0) -> dict[str, Any]:
    part = spec.head if head else spec.worker
    size = sizing.ray_size(part.memory, head=head, object_store=part.object_store)
    told: dict[str, Any] = {
        "role": "head" if head else "worker",
        "cpus": part.cpus,
        "gpus": 0 if head else spec.worker.gpus,
        "memory": part.memory,
        "heap": size.heap,
        "object_store": size.object_store,
    }
    if head:
        told["lease"] = lease
        limits = {"idle_timeout": spec.idle_timeout, "max_lifetime": spec.max_lifetime}
        told |= {name: seconds for name, seconds in limits.items() if seconds}
        told["wanted"] = {"workers": workers, "min_workers": least_workers(spec, workers)}
    return told


def _kept(spec: ClusterSpec, placement: Placement, rm: tuple[str, ...], owner: str) -> dict[str, Any]:
    """What the head is told in order to keep the workers beside a Spark application."""
    return {
        "app": placement.beside,
        "hosts": [*placement.hosts, *placement.later],
        "per_host": placement.per_host,
        # Without a worker nothing of Ray's runs any more; between two stages Spark may have no executor at all.
        "least": 1 if spec.min_workers is None else spec.min_workers,
        "most": spec.max_workers,
        "grace": spec.keep_beside_grace,
        "rm": list(rm),
        "user": owner,
    }


def _quoted(told: dict[str, Any]) -> str:
    """As JSON between single quotes in a script: a user's name may have one."""
    return json.dumps(told).replace("'", "\\u0027")


def least_workers(spec: ClusterSpec, workers: int) -> int:
    """From how many of ``workers`` on the cluster counts as usable."""
    return workers if spec.min_workers is None else spec.min_workers


def _mib(size: int) -> str:
    return f"{-(-size // sizing.MIB)} MiB"
