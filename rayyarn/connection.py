"""The connection document: where a cluster is and what a program needs to use it. Plain JSON, see docs/connection.md.

Secrets are named by path, relative to the document's folder, never held by value. Stdlib only: user programs and
containers read it too.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rayyarn import home
from rayyarn.errors import ConnectionUnusable

SCHEMA = 1
# The variable that names the folder with the cluster's extra files, wherever a program runs.
FILES_FOLDER = "RAYYARN_FILES_DIR"
# A token of another cluster in the user's shell. Ray would take it before the file that we name
# (docs.ray.io, ray-security/token-auth), try for 20 s and say that it could not connect.
FOREIGN_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - its name


@dataclass(frozen=True)
class Connection:
    """One cluster. Sections are plain dictionaries, as in the document; ``path`` is where it was read from."""

    name: str
    generation: str
    user: str
    created: float
    yarn: dict[str, Any]
    application: dict[str, Any]
    ray: dict[str, Any]
    spark: dict[str, Any]
    environment: dict[str, Any]
    code: list[dict[str, Any]]
    runtime: dict[str, Any]
    nodes: list[dict[str, Any]]
    secrets: dict[str, str]
    spec: dict[str, Any]
    files: list[dict[str, Any]] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    schema: int = SCHEMA
    path: Path | None = field(default=None, compare=False)

    @property
    def conf_dir(self) -> str | None:
        """Hadoop's configuration folder that the cluster was brought up with; None when this machine has no such."""
        folder = str(self.yarn["conf_dir"])
        return folder if Path(folder).is_dir() else None

    def secret(self, which: str) -> Path:
        """The file that holds ``token``, ``certificate`` or ``key``."""
        if self.path is None:
            raise ConnectionUnusable(f"the connection to {self.name!r} was not read from a file: no secrets beside it")
        return (self.path.parent / self.secrets[which]).absolute()

    def environ(self) -> dict[str, str]:
        """The variables with which a plain Ray or Spark program finds the cluster. The token is named, not held."""
        return {
            "RAYYARN_CONNECTION": str(self.path.absolute()) if self.path else "",
            "RAY_AUTH_TOKEN_PATH": str(self.secret("token")),
            **self._variables(),
        }

    def _variables(self) -> dict[str, str]:
        """Those that are the same wherever the document lies."""
        return {
            "RAYYARN_NAME": self.name,
            "RAY_ADDRESS": self.ray["address"],
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "HADOOP_CONF_DIR": self.yarn["conf_dir"],
            **self.spark["environ"],
        }

    def to_json(self) -> bytes:
        """The document. ``environ`` is in it for programs without rayyarn; it is not read back."""
        document = asdict(self)
        del document["path"]
        document["environ"] = self._variables()
        return (json.dumps({"schema": document.pop("schema"), **document}, indent=2) + "\n").encode()

    def write(self, path: Path) -> Connection:
        """Write the document to ``path`` (0600, whole or not at all)."""
        try:
            home.write_private(path, self.to_json())
        except OSError as error:
            raise ConnectionUnusable(
                f"{path} cannot be written: {error.strerror}", hint=f"ls -ld {path.parent}"
            ) from None
        return parse(self.to_json(), path)

    def copy_to(self, path: Path) -> None:
        """Write the document to ``path`` too, with whole paths to the secrets; this one remembers the copy."""
        secrets = {which: str(self.secret(which)) for which in self.secrets}
        replace(self, secrets=secrets, copies=[]).write(path)
        if self.path is not None:
            replace(self, copies=sorted({*self.copies, str(path.absolute())})).write(self.path)


def parse(data: bytes, path: Path | None) -> Connection:
    """Read a document. Raises ConnectionUnusable for another program's file or a newer schema."""
    where = path or "the connection document"
    try:
        document = json.loads(data)
        schema = int(document["schema"])
    except (ValueError, KeyError, TypeError):
        raise ConnectionUnusable(f"{where} is not a connection file of rayyarn", hint="rayyarn up NAME") from None
    if schema > SCHEMA:
        raise ConnectionUnusable(
            f"{where} was written by a newer rayyarn (schema {schema}; this one reads up to {SCHEMA})",
            hint="pip install -U rayyarn",
        )
    known = {f.name for f in fields(Connection)}
    try:
        return Connection(**{key: value for key, value in document.items() if key in known}, path=path)
    except TypeError as error:
        raise ConnectionUnusable(f"{where} is incomplete: {error}", hint="rayyarn up NAME") from None


def read(path: Path) -> Connection:
    """Read the document at ``path``."""
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise ConnectionUnusable(f"{path} cannot be read: {error.strerror}", hint="rayyarn up NAME") from None


def local_path(yarn_id: str, name: str) -> Path:
    """Where this edge keeps the document of cluster ``name``."""
    return home.clusters(yarn_id) / f"{name}.json"


def known(name: str) -> list[Path]:
    """The documents of all clusters called ``name`` that this edge remembers, newest first."""
    paths = (home.root() / "clusters").glob(f"*/{name}.json")
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def locate(name_or_path: str | os.PathLike[str] | None) -> str | Path:
    """What ``connect`` was asked for: a path when it looks like one, else a cluster's name.

    Without an argument: RAYYARN_CONNECTION, then RAYYARN_NAME, then ``default``.
    """
    asked = name_or_path or os.environ.get("RAYYARN_CONNECTION") or os.environ.get("RAYYARN_NAME") or "default"
    text = os.fspath(asked)
    return Path(text).expanduser() if os.sep in text or text.endswith(".json") else text
