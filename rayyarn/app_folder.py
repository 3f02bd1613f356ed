"""A cluster's folder on the default file system, ``/user/me/.rayyarn/apps/<id>``: what another edge needs to use it.

It holds the connection document and the secrets (0700, 0600). ``down`` removes it; the sweep removes those
whose application is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayyarn import connection, vault

if TYPE_CHECKING:
    from pathlib import Path

    from rayyarn.connection import Connection
    from rayyarn.filesystem import FileSystem
    from rayyarn.hadoop import Hadoop


class AppFolder:
    """The folder of application ``app_id``."""

    def __init__(self, fs: FileSystem, site: Hadoop, app_id: str) -> None:
        self._fs, self._site, self._path = fs, site, f"{parent(site)}/{app_id}"

    def save(self, draft: Connection, secrets: vault.Vault) -> None:
        """Leave what is needed to reach the application from anywhere."""
        self._fs.mkdirs(self._path, 0o700)
        for file in vault.FILES:
            self._fs.write(f"{self._path}/{file}", (secrets.folder / file).read_bytes(), 0o600)
        extra = sorted(secrets.files.iterdir()) if secrets.files.is_dir() else []
        if extra:
            self._fs.mkdirs(f"{self._path}/{secrets.files.name}", 0o700)
        for path in extra:
            self._fs.write(f"{self._path}/{secrets.files.name}/{path.name}", path.read_bytes(), 0o600)
        self.save_connection(draft)

    def save_connection(self, document: Connection) -> None:
        """Leave the connection document; without an address while the cluster is not usable."""
        self._fs.write(f"{self._path}/connection.json", document.to_json(), 0o600)

    def save_driver(self, document: Connection) -> str:
        """Leave the document for drivers in containers, from where YARN takes it; its full name."""
        self._fs.write(f"{self._path}/driver.json", document.to_json(), 0o600)
        return self.uri("driver.json")

    def save_job(self, job_id: str, files: bytes, variables: bytes) -> str:
        """Leave what a job is sent along, for the head to fetch and remove; its folder."""
        folder = f"{self._path}/jobs/{job_id}"
        self._fs.mkdirs(folder, 0o700)
        for name, data in (("files.tar.gz", files), ("variables.json", variables)):
            if data:
                self._fs.write(f"{folder}/{name}", data, 0o600)
        return folder

    def uri(self, file: str) -> str:
        """The full name of a file of the folder, for YARN and Spark."""
        return self._fs.uri(f"{self._path}/{file}")

    def connection(self, path: Path | None) -> Connection | None:
        """The connection document, as if it lay at ``path``; None when the folder is not there (yet)."""
        data = self._read("connection.json")
        return connection.parse(data, path) if data else None

    def restore(self, yarn_id: str) -> vault.Vault | None:
        """Copy the secrets to this edge; None when the folder is not there."""
        known = self.connection(None)
        if known is None:
            return None
        files = {file: self._fs.read(f"{self._path}/{file}") for file in vault.FILES}
        return vault.restore(yarn_id, known.name, known.generation, files)

    def remove(self) -> None:
        """Remove the folder; nothing happens when it is not there."""
        if self._fs.stat(self._path) is not None:
            self._fs.remove(self._path, recursive=True)

    def _read(self, file: str) -> bytes | None:
        path = f"{self._path}/{file}"
        return self._fs.read(path) if self._fs.stat(path) is not None else None


def parent(site: Hadoop) -> str:
    """Where the folders of this user's clusters are."""
    return f"{site.home}/.rayyarn/apps"
