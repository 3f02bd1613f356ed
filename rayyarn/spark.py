"""Spark on the cluster's YARN and environment: the session, and Spark's jars staged once.

Imported inside the user's own environment: stdlib and pyspark only.
"""

from __future__ import annotations

import os
import socket
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rayyarn import filesystem, fingerprint, hadoop, stage
from rayyarn.connection import FILES_FOLDER
from rayyarn.errors import ConnectionUnusable, UsageError
from rayyarn.rm import ResourceManager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.connection import Connection
    from rayyarn.stage import Staged


# Where Spark on YARN finds the zips of PySpark that it sends to each container and puts on PYTHONPATH; ``local:`` ones
# are not sent (its Client.findPySparkArchives). No node has this one, so Python goes on to the environment's PySpark:
# that is compiled, and a zip's is compiled anew by each Python worker, 0.4 of the 0.5 CPU seconds of its start.
_ZIPS, _IN_THE_ENVIRONMENT = "PYSPARK_ARCHIVES_PATH", "local:/pyspark-of-the-environment"
_MODE, _CONNECT_PLUGIN = "spark.api.mode", "org.apache.spark.sql.connect.SparkConnectPlugin"


def session(found: Connection, app_name: str, conf: Mapping[str, Any]) -> Any:
    """A SparkSession whose executors run the cluster's environment from the same cache entry; on the edge, client mode.

    ``conf``: Spark settings, with underscores for dots (``executor_memory="2g"``) or in full. With
    ``api_mode="connect"`` it is a Spark Connect session, on a server that this program starts and ``stop`` ends.
    Raises ConnectionUnusable when a session or JVM with other settings is there already: Spark would silently keep
    those. Under ``spark-submit --deploy-mode cluster`` the submit has decided the rest, see ``rayyarn.spark_defaults``.
    """
    submitted = _in_spark_master()
    wanted = _given(conf) if submitted else settings(found, conf)
    environ = {key: value for key, value in found.environ().items() if not key.startswith("RAY")}
    connect = wanted.get(_MODE, "classic").lower() == "connect"
    if connect:
        wanted, environ = _for_connect(wanted, environ, submitted=submitted)
    if _has_pyspark(found):
        environ[_ZIPS] = os.environ.get(_ZIPS, _IN_THE_ENVIRONMENT)
    _refuse_other(wanted, environ.get("PYSPARK_PYTHON"), connect=connect)
    if not submitted:
        os.environ.update(environ)
    if connect:
        return _connect_session({**wanted, "spark.app.name": app_name})
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(app_name).config(_MODE, "classic")  # or SPARK_API_MODE decides
    for key, value in wanted.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def settings(found: Connection, conf: Mapping[str, Any]) -> dict[str, str]:
    """All Spark settings of a session on the edge: the cluster's, the staged jars, then ``conf``, which wins."""
    import pyspark

    _check_spark_home(pyspark.__version__)
    given = _given(conf)
    own_jars = {"spark.yarn.archive", "spark.yarn.jars"} & set(given)
    folder = None if own_jars else _home(Path(pyspark.__file__).parent)
    return {**common(found, folder, pyspark.__version__), "spark.submit.deployMode": "client", **given}


def _has_pyspark(found: Connection) -> bool:
    """True when the cluster's environment has the PySpark that runs here."""
    import pyspark

    return bool(found.environment["pyspark"] == pyspark.__version__)


def away_from_ray(found: Connection) -> dict[str, str]:
    """The setting that keeps executors off hosts without a worker of the cluster (Spark on YARN, "Configuration")."""
    near = {node["host"] for node in found.nodes if node["role"] == "worker"}
    hosts = sorted({node.host for node in ResourceManager(hadoop.find(found.conf_dir)).nodes()} - near)
    return {"spark.yarn.exclude.nodes": ",".join(hosts)} if hosts else {}


def common(found: Connection, pyspark: Path | None, version: str) -> dict[str, str]:
    """What every Spark application beside the cluster is started with, in either mode, however it is started.

    ``pyspark``: the folder of the package whose jars are staged; None: Spark finds its jars by itself.
    """
    staged = {"spark.yarn.archive": jars(hadoop.find(found.conf_dir), pyspark, version).uri} if pyspark else {}
    tags = {"spark.yarn.tags": f"rayyarn.spark,{found.application['id']}"}
    return {"spark.master": "yarn", **tags, **found.spark["conf"], **_loopback(found), **staged}


def jars(site: hadoop.Hadoop, pyspark: Path, version: str) -> Staged:
    """Spark's own jars as one archive on the default file system, made once per content.

    Without it each session zips and sends 400 MB: 38 s instead of 17 s to the first session (measured, 2 cores).
    """
    found = sorted((pyspark / "jars").glob("*.jar"))
    known = fingerprint.of_text(" ".join(f"{path.name} {path.stat().st_size}" for path in found))
    path = f"{stage.folder(site, 'spark')}/spark-{version}-{known}.tar"

    def write(sink: BinaryIO) -> None:
        # Not a zip: one that is written as a stream has data descriptors, and YARN cannot unpack it
        # (UnsupportedZipFeatureException, Hadoop 3.5.0). Jars are compressed already.
        with tarfile.open(fileobj=sink, mode="w|", bufsize=1 << 20) as archive:
            for jar in found:
                archive.add(jar, jar.name)

    return stage.ensure(filesystem.open(site), path, write)


def _home(package: Path) -> Path | None:
    """Where Spark's jars are: under spark-submit ``package`` is in a zip of SPARK_HOME, which has been checked."""
    places = [package, *([Path(place)] if (place := os.environ.get("SPARK_HOME")) else [])]
    return next((place for place in places if any((place / "jars").glob("*.jar"))), None)


def _in_spark_master() -> bool:
    """True in a program that ``spark-submit --deploy-mode cluster`` runs in its application's own master."""
    return "PYSPARK_GATEWAY_PORT" in os.environ and "CONTAINER_ID" in os.environ


def _given(conf: Mapping[str, Any]) -> dict[str, str]:
    return {_key(key): str(value) for key, value in conf.items()}


def _key(name: str) -> str:
    if name.startswith("spark.") or "." in name:
        return name
    return "spark." + name.removeprefix("spark_").replace("_", ".")


def _loopback(found: Connection) -> dict[str, str]:
    """On a mini cluster all machines are this one: executors find the driver on loopback, whatever it is called."""
    if not str(found.ray["address"]).startswith("127."):
        return {}
    return {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def _for_connect(
    wanted: Mapping[str, str], environ: Mapping[str, str], *, submitted: bool = False
) -> tuple[dict[str, str], dict[str, str]]:
    """Settings and variables of a Spark Connect server. Raises UsageError where PySpark has no such mode."""
    import pyspark

    if submitted:
        raise UsageError("api_mode='connect' starts a server, and under spark-submit there is a Spark already")
    if int(pyspark.__version__.split(".")[0]) < 4:
        raise UsageError(
            f"api_mode='connect' needs PySpark 4, and this is {pyspark.__version__}: its server asks nobody who he is",
            hint="cluster.spark(name)   # a classic session, which to_ray serves faster",
        )
    served = {
        **wanted,
        "spark.plugins": _CONNECT_PLUGIN,
        "spark.connect.grpc.binding.address": "127.0.0.1",  # its default is all addresses of this machine
    }
    served.pop(_MODE)
    # Each session's Python workers run in a folder of its own inside the container (PythonWorkerFactory, for
    # artifacts), and look everything up from there.
    for name in (FILES_FOLDER, "PYTHONPATH"):
        if value := served.get(f"spark.executorEnv.{name}"):
            served[f"spark.executorEnv.{name}"] = ":".join(_one_up(path) for path in value.split(":"))
    python = environ.get("PYSPARK_PYTHON", "")
    return served, {**environ, "PYSPARK_PYTHON": _one_up(python)}


def _one_up(path: str) -> str:
    return f".{path}" if path == "." or path.startswith("./") else path


def _connect_session(wanted: dict[str, str]) -> Any:
    """What PySpark's builder does for this mode, at a free port: its own is 15002, of which a machine has one."""
    from pyspark import SparkContext
    from pyspark.sql.connect.session import SparkSession

    if SparkContext._active_spark_context is not None:  # it was seen to be ours, with the same settings
        return SparkSession.builder.getOrCreate()
    if "spark.connect.grpc.binding.port" not in wanted:
        with socket.create_server(("127.0.0.1", 0)) as free:
            wanted["spark.connect.grpc.binding.port"] = str(free.getsockname()[1])
    address = f"sc://localhost:{wanted['spark.connect.grpc.binding.port']}"
    os.environ["SPARK_LOCAL_REMOTE"] = "1"  # stop() ends the server too, and removes both
    try:
        SparkSession._start_connect_server("yarn", wanted)  # leaves in ``wanted`` what a session may set
        os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
        return SparkSession.builder.config(map={**wanted, "spark.remote": address}).getOrCreate()
    except BaseException:
        if SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()
        for name in ("SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED"):
            os.environ.pop(name, None)
        raise


def _refuse_other(wanted: Mapping[str, str], python: str | None, *, connect: bool) -> None:
    from pyspark import SparkContext

    if os.environ.get("SPARK_REMOTE"):  # not quoted: such an address may hold a token
        raise ConnectionUnusable(
            "SPARK_REMOTE is set: PySpark would make the session there, not on the cluster's YARN",
            hint="unset SPARK_REMOTE",
        )
    if ("SPARK_CONNECT_MODE_ENABLED" in os.environ) > connect:
        raise ConnectionUnusable("a Spark Connect session is active in this program", hint="spark.stop()")
    context = SparkContext._active_spark_context
    if context is not None and context._jsc is not None:
        have = dict(context.getConf().getAll())
        other = [f"{key}={have.get(key)!r}, not {value!r}" for key, value in wanted.items() if have.get(key) != value]
        if other:
            raise ConnectionUnusable(
                f"a Spark session with other settings is active: {'; '.join(sorted(other))}",
                hint="spark.stop()   # then connect again",
            )
    elif SparkContext._gateway is not None and os.environ.get("PYSPARK_PYTHON") != python:
        # The JVM has taken the environment of its start; a new session in it would run the nodes' own python3.
        raise ConnectionUnusable(
            "Spark's JVM was started by this program with other settings", hint="restart the program or kernel"
        )


def _check_spark_home(version: str) -> None:
    place = os.environ.get("SPARK_HOME")
    if not place:
        return
    release = Path(place) / "RELEASE"
    names = [path.name for path in (Path(place) / "jars").glob("spark-core_*.jar")]
    there = next((name.rsplit("-", 1)[1].removesuffix(".jar") for name in names), None)
    if there is not None and there != version:
        raise ConnectionUnusable(
            f"SPARK_HOME is {place} with Spark {there}; the environment has pyspark {version}",
            log=release.read_text().splitlines()[0] if release.exists() else None,
            hint="unset SPARK_HOME   # or install pyspark of that version in the environment, and up again",
        )
