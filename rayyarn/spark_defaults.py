"""A cluster as a properties file for ``spark-submit``: a program unchanged, in client and in cluster mode.

In cluster mode the program runs in a container of Spark's own application. What it needs to reach Ray travels through
YARN's cache from the cluster's private folder on the default file system: a connection document that fits a container,
and the token. The file itself holds paths and no secret.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import edge, filesystem, hadoop, home, spark
from rayyarn.app_folder import AppFolder
from rayyarn.connection import FILES_FOLDER
from rayyarn.errors import ConnectionUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.connection import Connection

_DOCUMENT, _TOKEN = "rayyarn-connection.json", "rayyarn-token"  # their names in the containers
_PYTHON = "./environment/bin/python"
# Not $PATH: the NodeManager starts its own wrapper script with these values before a shell has expanded them
# (DefaultContainerExecutor, Hadoop 3.5.0), and that needs `setsid` and `bash`.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write(found: Connection, path: Path) -> Path:
    """Write the file (0600) and what it names. It is good for this cluster alone, and for as long as it lives."""
    text = render(found.name, settings(found))
    try:
        home.write_private(path, text.encode("ascii"))
    except OSError as error:
        raise ConnectionUnusable(
            f"{path} cannot be written: {error.strerror}", hint=f"ls -ld {path.absolute().parent}"
        ) from None
    return path.absolute()


def settings(found: Connection) -> dict[str, str]:
    """The Spark settings, after the files that they name were put in the cluster's folder."""
    site = hadoop.find(found.conf_dir)
    folder = AppFolder(filesystem.open(site), site, found.application["id"])
    # In a container the environment is `environment`, not a prefix of the edge.
    inside = replace(found, secrets={"token": _TOKEN}, copies=[], environment={**found.environment, "prefix": None})
    files = [f"{folder.save_driver(inside)}#{_DOCUMENT}", f"{folder.uri('token')}#{_TOKEN}", found.runtime["uri"]]
    files += [f"{one['uri']}#{one['name']}" for one in found.files]
    version, pyspark = found.environment["pyspark"], _pyspark(found.environment["prefix"])
    return {
        **spark.common(found, pyspark if version else None, version or ""),
        # The driver's Python is found on PATH in both modes: on the edge the shell's, in the container the archive's.
        # `spark.pyspark.python` alone would be taken for the driver on the edge, too.
        "spark.pyspark.python": _PYTHON,
        "spark.pyspark.driver.python": "python3",
        "spark.yarn.dist.files": ",".join(files),
        **{f"spark.yarn.appMasterEnv.{name}": value for name, value in _master_environ(found).items()},
    }


def _master_environ(found: Connection) -> dict[str, str]:
    """The variables of the driver in cluster mode. YARN's launch script expands $PWD, the container's folder."""
    runtime = found.runtime["uri"].rsplit("/", 1)[1]
    code = [path for path in found.spark["conf"].get("spark.executorEnv.PYTHONPATH", "").split(":") if path]
    files = {FILES_FOLDER: "$PWD"} if found.files else {}
    here = {"SPARK_LOCAL_IP": "127.0.0.1"} if found.ray["address"].startswith("127.") else {}  # a mini cluster
    return {
        **{name: value for name, value in found.environ().items() if name.startswith("RAY")},
        "RAYYARN_CONNECTION": f"$PWD/{_DOCUMENT}",
        "RAY_AUTH_TOKEN_PATH": f"$PWD/{_TOKEN}",
        "RAYYARN_HOME": "$PWD/.rayyarn",
        "RAY_RUNTIME_ENV_HOOK": edge.HOOK,
        "HADOOP_CONF_DIR": "$PWD/__spark_conf__/__hadoop_conf__",  # the edge's, which Spark sends along
        "PYTHONPATH": ":".join([*(f"$PWD/{path.removeprefix('./')}" for path in code), f"$PWD/{runtime}"]),
        "PATH": f"$PWD/environment/bin:{_PATH}",
        "PYSPARK_PYTHON": _PYTHON,
        "PYSPARK_DRIVER_PYTHON": _PYTHON,  # or the edge's own would be sent along
        **files,
        **here,
    }


def _pyspark(prefix: str | None) -> Path | None:
    """The environment's pyspark, where the environment is on this machine."""
    return next(iter(sorted(Path(prefix).glob("lib/python3*/site-packages/pyspark"))), None) if prefix else None


def render(name: str, conf: Mapping[str, str]) -> str:
    """The text of the file, as java.util.Properties reads it: ASCII, each setting on one line."""
    lines = [
        f"# Spark beside the cluster {name}, for as long as it lives:",
        "#   spark-submit --properties-file THIS [--deploy-mode cluster] program.py",
        *(f"{_escaped(key, ' =:#!')}={_escaped(value, '')}" for key, value in sorted(conf.items())),
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str, special: str) -> str:
    """``text`` for a properties file (java.util.Properties.load); ``special``: what would end a key or be a comment."""
    out = []
    for at, char in enumerate(text):
        known = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}.get(char)
        if known:
            out.append(known)
        elif char in special or (char == " " and at == 0):
            out.append(f"\\{char}")
        elif " " <= char <= "~":
            out.append(char)
        else:
            units = char.encode("utf-16-be")
            out += [f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
    return "".join(out)
