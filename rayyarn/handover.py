"""A cluster's connection for programs that rayyarn does not start: a shell's variables, a file for ``spark-submit``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn import edge, session, spark_defaults
from rayyarn.connection import FOREIGN_TOKEN
from rayyarn.errors import ConnectionUnusable

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Handover:
    """A connection that was seen to work. ``in_front``: what goes before the value that a variable has."""

    name: str
    application: str
    address: str
    connection_file: str
    environ: dict[str, str]
    in_front: dict[str, str]
    spark_conf: str | None
    remarks: tuple[str, ...]

    def exports(self) -> str:
        """The variables as lines for a POSIX shell. The token is named by its file, not held."""
        plain = [f"export {name}={shlex.quote(value)}" for name, value in self.environ.items()]
        # What is there is kept behind it; an unset or empty variable leaves no empty entry, which would be the folder
        # that one is in.
        before = [f'export {name}={shlex.quote(value)}"${{{name}:+:${name}}}"' for name, value in self.in_front.items()]
        return "\n".join([f"unset {FOREIGN_TOKEN}", *plain, *before])


def give(name: str, *, spark_conf: Path | None = None, hadoop_conf: str | None = None) -> Handover:
    """See that the cluster can be used from here, and say how; with ``spark_conf`` write that properties file (0600).

    Raises ClusterNotFound when it is gone, ConnectionUnusable when its head cannot be reached or a secret is missing.
    """
    found = session.find(name, hadoop_conf=hadoop_conf)
    if not found.secret("token").exists():
        raise ConnectionUnusable(
            f"Ray's token is not where the connection file says: {found.secret('token')}",
            hint=f"rm {found.path}   # it is then fetched anew from the cluster's folder",
        )
    edge.reach(found.ray["address"])
    return Handover(
        name=found.name,
        application=found.application["id"],
        address=found.ray["address"],
        connection_file=str(found.path),
        environ={**edge.variables(found), "RAY_RUNTIME_ENV_HOOK": edge.HOOK},  # `exec` starts a raylet itself
        in_front=edge.in_front(found),
        spark_conf=str(spark_defaults.write(found, spark_conf)) if spark_conf else None,
        remarks=tuple(session.drift(found)),
    )
