"""The secrets of one cluster, as files of this user (0600): Ray's token, Skein's certificate and key.

They lie beside the connection document in a folder of their own generation, so that two clusters that fight for one
name never touch each other's.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from rayyarn import home
from rayyarn.skein_am import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILES = ("token", "certificate.pem", "key.pem")


@dataclass(frozen=True)
class Vault:
    """Secrets in ``folder``; ``generation`` tells one cluster of a name from the next."""

    folder: Path
    generation: str
    _held: IO[bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def token(self) -> Path:
        """The file with Ray's token."""
        return self.folder / "token"

    @property
    def variables(self) -> Path | None:
        """The file with the values of ``env-vars``, if there are any; only while the cluster is submitted."""
        path = self.folder / "variables.json"
        return path if path.exists() else None

    @property
    def credentials(self) -> Credentials:
        """What opens the application master."""
        return Credentials((self.folder / "certificate.pem").read_bytes(), (self.folder / "key.pem").read_bytes())

    def paths(self) -> dict[str, str]:
        """The files as the connection document names them, relative to its folder."""
        names = ("token", "certificate", "key")
        return {name: f"{self.folder.name}/{file}" for name, file in zip(names, FILES, strict=True)}

    @property
    def files(self) -> Path:
        """The folder with the small extra files of the cluster, and with what this edge has of the others."""
        return self.folder / "files"

    def settle(self) -> None:
        """The cluster is up: keep the secrets, without the variables and without this process's hold."""
        (self.folder / "variables.json").unlink(missing_ok=True)
        if self._held is not None:
            (self.folder / ".held").unlink(missing_ok=True)
            self._held.close()

    def remove(self) -> None:
        """Forget everything."""
        if self._held is not None:
            self._held.close()
        _remove(self.folder)


def make(yarn_id: str, name: str, credentials: Credentials, variables: Mapping[str, str]) -> Vault:
    """A new cluster's secrets, held by this process until ``settle`` or ``remove``."""
    vault = _open(yarn_id, name, secrets.token_hex(4))
    _write(vault.folder / "token", secrets.token_hex(32).encode())  # 256 bits
    _write(vault.folder / "certificate.pem", credentials.certificate)
    _write(vault.folder / "key.pem", credentials.key)
    if variables:
        _write(vault.folder / "variables.json", json.dumps(dict(variables)).encode())
    return vault


def restore(yarn_id: str, name: str, generation: str, files: Mapping[str, bytes]) -> Vault:
    """The secrets of a cluster that another edge brought up, as its folder on the default file system has them."""
    vault = _open(yarn_id, name, generation)
    for file in FILES:
        _write(vault.folder / file, files[file])
    vault.settle()
    return vault


def folder_of(yarn_id: str, name: str, generation: str) -> Path:
    """Where this edge keeps the secrets of one generation of a cluster."""
    return home.clusters(yarn_id) / f"{name}.{generation}"


def forget(yarn_id: str, name: str, generation: str) -> None:
    """Remove what this edge has of the secrets of one generation of a cluster."""
    _remove(folder_of(yarn_id, name, generation))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    home.drop_if_empty(folder.parent)


def _open(yarn_id: str, name: str, generation: str) -> Vault:
    folder = folder_of(yarn_id, name, generation)
    with contextlib.suppress(FileNotFoundError):  # another command removed the empty folder above at this moment
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Vault(folder, generation, home.hold(folder))


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
