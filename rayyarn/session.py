"""A program's view of a cluster: ``rayyarn.connect()``, then Ray and Spark on the same environment.

Imported inside the user's own environment: stdlib, ray and pyspark only.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rayyarn import (
    access,
    connection,
    edge,
    environment,
    files_here,
    fingerprint,
    hadoop,
    layer,
    register,
    spark_apps,
    teardown,
)
from rayyarn.errors import ClusterNotFound, ConnectionUnusable, RayYarnError, YarnUnreachable
from rayyarn.rm import ResourceManager
from rayyarn.room import room_on

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rayyarn.connection import Connection


def connect(name_or_path: str | os.PathLike[str] | None = None) -> Session:
    """The cluster of a name or connection file; default RAYYARN_CONNECTION, RAYYARN_NAME, then ``default``.

    Raises ClusterNotFound within two seconds when it is gone, ConnectionUnusable when its head cannot be reached.
    """
    found = find(name_or_path)
    for remark in drift(found, prefix=Path(sys.prefix)):
        warnings.warn(remark, stacklevel=2)
    return Session(found)


def find(name_or_path: str | os.PathLike[str] | None = None, *, hadoop_conf: str | None = None) -> Connection:
    """The connection document, seen to be that of a cluster that runs."""
    asked = connection.locate(name_or_path)
    found: Connection | None
    if isinstance(asked, Path):
        found = connection.read(asked)
        site = hadoop.find(hadoop_conf or found.conf_dir)
    else:
        site, found = _by_name(asked, hadoop_conf)
    if found is None or "CONTAINER_ID" in os.environ:  # inside the cluster there is no question whether it runs
        return found if found is not None else _fetch(site, str(asked))
    try:
        app = ResourceManager(site).app(found.application["id"])
    except YarnUnreachable:
        return found  # Ray may well be there: whoever connects to its head will see
    if app is None or not app.live:
        teardown.forget(site, found.name, found.application["id"])
        if isinstance(asked, Path):
            raise _gone(found.name, site.user, app.diagnostics if app else "")
        return _fetch(site, asked)
    return found


def _by_name(name: str, hadoop_conf: str | None) -> tuple[hadoop.Hadoop, Connection | None]:
    known = [] if hadoop_conf else connection.known(name)
    try:
        site = hadoop.find(hadoop_conf)
    except RayYarnError:
        if not known:
            raise
        site = hadoop.find(connection.read(known[0]).conf_dir)  # it worked from this folder when it came up
    path = connection.local_path(site.yarn_id, name)
    return site, connection.read(path) if path.exists() else None


def _fetch(site: hadoop.Hadoop, name: str) -> Connection:
    app = register.find(ResourceManager(site), name)
    if app is None:
        raise _gone(name, site.user, "")
    found = access.fetched(site, name, app)
    if found is None:
        hint = f"rayyarn status {name}   # how far it is"
        raise ConnectionUnusable(f"{name} is still starting ({app.id})", hint=hint)
    return found


def _gone(name: str, user: str, why: str) -> ClusterNotFound:
    return ClusterNotFound(
        f"no cluster named {name!r} runs for user {user}", log=why or None, hint=f"rayyarn up {name}"
    )


def drift(found: Connection, prefix: Path | None = None) -> list[str]:
    """How what is here now differs from what the cluster runs, one sentence each.

    ``prefix``: whose interpreter runs (default: the environment's own). Nothing else is said of an environment that is
    not on this machine.
    """
    files = [
        f"{name} has changed since the cluster {found.name!r} came up with it; its programs see what it was then"
        for name in files_here.changed(found)
    ]
    return files + _drift_of_python(found, prefix)


def _drift_of_python(found: Connection, prefix: Path | None) -> list[str]:
    shipped = found.environment["prefix"]
    if not shipped and prefix is None:
        ray = f"ray {found.ray['version']}" if found.ray["version"] else "the ray of the archive"
        return [f"the cluster runs a ready archive: the program runs with the Python of this PATH, which needs {ray}"]
    if not shipped or not Path(shipped).is_dir():
        return []
    remarks = []
    if prefix is not None and prefix.resolve() != Path(shipped).resolve():
        remarks.append(f"this program runs in {prefix}; the cluster runs a copy of {shipped}")
    if fingerprint.comparable() and fingerprint.of(Path(shipped)) != found.environment["fingerprint"]:
        remarks.append(
            f"{shipped} has changed since the cluster {found.name!r} came up; the nodes run what it was then"
        )
    try:
        here = layer.code_layer(environment.inspect(shipped).editable, found.spec.get("code", ()))
    except RayYarnError as error:
        return [*remarks, f"your code cannot be compared with the cluster's: {error}"]
    there = {one["fingerprint"] for one in found.code}
    if ({str(here.fingerprint)} if here else set()) != there:
        remarks.append(
            f"your code has changed since the cluster {found.name!r} came up; the nodes run what it was then"
        )
    return remarks


def _authenticate(environ: dict[str, str]) -> None:
    """Give Ray the cluster's token, also in a program that imported ray before it connected.

    Ray reads the mode once, when it is imported; it refreshes its own copy in the same way when it turns token mode on
    for a local cluster (ray/_private/authentication/authentication_token_setup.py, 2.60).
    """
    os.environ.update({key: value for key, value in environ.items() if key.startswith("RAY_")})
    os.environ.pop(connection.FOREIGN_TOKEN, None)
    if "ray" in sys.modules:
        from ray._raylet import AuthenticationTokenLoader, Config

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


class Session:
    """A cluster in a program's hands. What it starts on this machine ends with ``close`` or with the program."""

    def __init__(self, found: Connection) -> None:
        self.connection = found
        self._edge: edge.Edge | None = None

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.connection.name

    def environ(self) -> dict[str, str]:
        """The variables with which a plain Ray or Spark program finds the cluster."""
        return self.connection.environ()

    def file(self, name: str) -> Path:
        """The extra file ``name`` of the cluster (``up --files``) on the machine where this runs, as the nodes have it.

        Raises ConnectionUnusable for one that the cluster does not have.
        """
        return files_here.place(self.connection, name)

    def ray(self, **options: Any) -> Any:
        """``ray.init`` on the cluster; on the edge a raylet without CPUs is started first, owned by this program.

        Raises ConnectionUnusable in under five seconds when the head cannot be reached.
        """
        address, token = self.connection.ray["address"], self.connection.secret("token")
        if not token.exists():
            raise ConnectionUnusable(
                f"Ray's token is not where the connection file says: {token}", hint=f"rayyarn up {self.name}"
            )
        _authenticate(self.environ())
        import ray

        if ray.is_initialized():
            return ray.init(ignore_reinit_error=True, **options)
        edge.reach(address)
        if self._edge is None and not edge.has_raylet(address):
            self._edge = edge.Edge(self.connection, [sys.executable], edge.environment(self.connection))
            try:
                self._edge.ready()
            except BaseException:
                self.close()
                raise
        if self._edge is not None:
            options.setdefault("_node_ip_address", self._edge.ip)
        return ray.init(address, **options)

    def spark(self, app_name: str, *, near_ray: bool = False, **conf: Any) -> Any:
        """A SparkSession on the cluster's YARN and environment; see ``rayyarn.spark.session``.

        ``near_ray``: YARN gives it no executor on a host without a worker of this cluster; it waits for room there,
        and a warning says so when it has got none by the time the session is there.
        """
        from rayyarn.spark import away_from_ray, session

        if not near_ray:
            return session(self.connection, app_name, conf)
        made = session(self.connection, app_name, {**away_from_ray(self.connection), **conf})
        found = self.near(made)
        later = str(made.conf.get("spark.dynamicAllocation.enabled", "false")).lower() == "true"
        if not later and not any(there["executors"] for there in found.values()):
            room = room_on(ResourceManager(hadoop.find(self.connection.conf_dir)), list(found))
            warnings.warn(
                f"YARN has given {app_name} no executor yet, and with near_ray it gives them on these hosts only: "
                f"{room}",
                stacklevel=2,
            )
        return made

    def near(self, spark: Any) -> dict[str, dict[str, int]]:
        """How many executors of a session and workers of this cluster are on which host.

        ``{"n1": {"executors": 2, "workers": 1}, "n2": {"executors": 1, "workers": 0}}``; executors as they are now.
        """
        rm = ResourceManager(hadoop.find(self.connection.conf_dir))
        app = rm.app(spark_apps.id_of(spark))
        executors = spark_apps.executors(rm, app) if app is not None else {}
        workers = Counter(node["host"] for node in self.connection.nodes if node["role"] == "worker")
        return {
            host: {"executors": executors.get(host, 0), "workers": workers[host]}
            for host in sorted({*executors, *workers})
        }

    def to_ray(self, frame: Any, **options: Any) -> Any:
        """A Spark DataFrame as a Ray Dataset on this cluster, in memory; see ``rayyarn.to_ray``."""
        from rayyarn.exchange import to_ray

        self._join_ray()
        return to_ray(frame, **options)

    def to_spark(self, dataset: Any, spark: Any, **options: Any) -> Any:
        """A Ray Dataset as a Spark DataFrame that reads its blocks from the cluster; see ``rayyarn.to_spark``."""
        from rayyarn.exchange import to_spark

        self._join_ray()
        return to_spark(dataset, spark, **options)

    def release(self, frame: Any) -> int:
        """Let go of the blocks that a DataFrame of ``to_spark``, or one made from it, reads; how many leases ended."""
        from rayyarn.exchange import release

        return release(frame)

    def lease(self) -> AbstractContextManager[None]:
        """A ``with`` block at whose end the blocks that ``to_spark`` lent in it are let go."""
        from rayyarn.exchange import lease

        return lease()

    def _join_ray(self) -> None:
        import ray

        if not ray.is_initialized():
            self.ray()

    def close(self) -> None:
        """End the raylet that this session started, if any, and with it this program's connection to Ray.

        Without such a raylet ``ray.shutdown()`` is yours, as ``spark.stop()`` always is.
        """
        if self._edge is not None:
            self._edge.close()
            self._edge = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
