"""HDFS over HTTP: no JVM, 10 ms an answer. Follows active NameNodes and the DataNode that takes the bytes.

Facts: Hadoop 3.5.0, "WebHDFS REST API" (WebHDFS.html). Without Kerberos the user is named in the query. Proxy
variables are not looked at: http.client knows none, and a NameNode is never behind one.
"""
# ruff: noqa: D102 - FileSystem says what each of its methods does

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from rayyarn import web_link
from rayyarn.errors import RayYarnError, StagingFailed
from rayyarn.filesystem.door import DoorClosed, FileSystem, Stat, Upload, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rayyarn.hadoop import Hadoop

_ANSWER_LIMIT = 10.0  # seconds for a NameNode to answer; one that needs more is taken for down
_DATA_LIMIT = 120.0  # seconds for a DataNode to take or give the next bytes, replication included
_LATE_LIMIT = 3.0  # seconds for a DataNode to get to a request whose sender has hung up


class WebHdfs(FileSystem):
    """One HDFS, known by the web addresses of its NameNodes (the active one is found by asking)."""

    def __init__(self, root: str, namenodes: Iterable[str], user: str) -> None:
        super().__init__(root)
        self._namenodes = [*namenodes]
        self._user = user

    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        found = []
        for path in paths:
            status, document = self._ask("GET", path, "GETFILESTATUS")
            found.append(_stat(document["FileStatus"]) if status == 200 else None)
        return found

    def read(self, path: str) -> bytes:
        status, where = self._redirected("GET", path, "OPEN")
        if status == 404:
            raise FileNotFoundError(path)
        connection, target = _connect(where, _DATA_LIMIT)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            data = answer.read()
        except OSError as error:
            raise _unreachable_datanode(where, error) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise refused(path, _reason(data), user=self._user)
        return data

    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        # MKDIRS gives every missing parent the permission of the site's umask: ask for each of them by name.
        parts = path.strip("/").split("/")
        folders = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
        there = [count for count, folder in enumerate(folders) if self.stat(folder) is not None]
        for folder in folders[max(there, default=-1) + 1 :]:
            self._must("PUT", folder, "MKDIRS", permission=f"{mode:o}")

    def list(self, path: str) -> dict[str, Stat]:
        status, document = self._ask("GET", path, "LISTSTATUS")
        entries = document["FileStatuses"]["FileStatus"] if status == 200 else []
        return {entry["pathSuffix"]: _stat(entry) for entry in entries}

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        return bool(self._must("DELETE", path, "DELETE", recursive=str(recursive).lower()).get("boolean"))

    def upload(self, path: str, mode: int) -> Upload:
        _, where = self._redirected("PUT", path, "CREATE", overwrite="false", permission=f"{mode:o}")
        return _WebUpload(path, where, self._user, lambda: self.stat(path) is not None)

    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        if overwrite:
            self._must("PUT", path, "RENAME", destination=target, renameoptions="OVERWRITE")
            return True
        return bool(self._must("PUT", path, "RENAME", destination=target).get("boolean"))

    def _must(self, method: str, path: str, op: str, **query: str) -> dict[str, Any]:
        status, document = self._ask(method, path, op, **query)
        if status == 404:
            raise refused(path, "there is no such file or folder", user=self._user)
        return document

    def _ask(self, method: str, path: str, op: str, **query: str) -> tuple[int, dict[str, Any]]:
        """(200, document) or (404, {}); everything else is raised."""
        status, _, body = self._send(method, path, op, query)
        if status == 404:
            return 404, {}
        return 200, json.loads(body or b"{}")

    def _redirected(self, method: str, path: str, op: str, **query: str) -> tuple[int, str]:
        status, where, _ = self._send(method, path, op, query)
        return status, where

    def _send(self, method: str, path: str, op: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        """Ask each NameNode until one that is active answers: status, Location, body."""
        asked = urlencode({"op": op, "user.name": self._user, **query})
        target = f"/webhdfs/v1{quote(path)}?{asked}"
        failures = []
        for address in list(self._namenodes):
            connection, _ = _connect(address, _ANSWER_LIMIT)
            try:
                connection.request(method, target)
                answer = connection.getresponse()
                body = answer.read()
            except OSError as error:
                failures.append(f"{address}: {error}")
                continue
            finally:
                connection.close()
            if answer.status == 403 and b"StandbyException" in body:
                failures.append(f"{address}: standby")
                continue
            self._namenodes.remove(address)  # next time the active one is asked first
            self._namenodes.insert(0, address)
            return self._judge(path, answer, body)
        raise DoorClosed(f"no NameNode of {self.root} answers over HTTP ({'; '.join(failures)})")

    def _judge(self, path: str, answer: http.client.HTTPResponse, body: bytes) -> tuple[int, str, bytes]:
        kind = _exception(body)
        if answer.status == 404 and kind == "FileNotFoundException":
            return 404, "", body
        if answer.status in (200, 201, 307):
            return answer.status, answer.getheader("Location", ""), body
        if not kind or answer.status == 401:  # a proxy, Kerberos, or WebHDFS switched off
            raise DoorClosed(f"{self.root} does not let us in over HTTP (status {answer.status})")
        raise refused(path, _reason(body), user=self._user)


class _WebUpload(Upload):
    """Chunked PUT to the DataNode: the size need not be known before."""

    def __init__(self, path: str, where: str, user: str, there: Callable[[], bool]) -> None:
        self._path, self._where, self._user, self._there = path, where, user, there
        self._answered = False
        self._connection, target = _connect(where, _DATA_LIMIT)
        try:
            self._connection.putrequest("PUT", target)
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.putheader("Content-Type", "application/octet-stream")
            self._connection.endheaders()
        except OSError as error:
            self._connection.close()
            raise _unreachable_datanode(where, error) from error

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size:  # an empty chunk would end the body
            try:
                self._connection.send(b"%x\r\n" % size + bytes(data) + b"\r\n")
            except OSError as error:
                raise self._broken(error) from error
        return size

    def finish(self) -> None:
        try:
            self._connection.send(b"0\r\n\r\n")
            answer = self._connection.getresponse()
            self._answered, body = True, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        finally:
            self._connection.close()
        if answer.status != 201:
            raise refused(self._path, _reason(body), user=self._user)

    def abort(self) -> None:
        self._connection.close()
        # The DataNode makes the file when it gets to our request, perhaps after we have hung up: a caller that removed
        # it before would leave it behind.
        until = time.monotonic() + _LATE_LIMIT
        with suppress(RayYarnError):
            while not self._answered and not self._there() and time.monotonic() < until:
                time.sleep(0.02)

    def _broken(self, error: Exception) -> StagingFailed:
        """A DataNode that gives up says why before it hangs up, when we are lucky."""
        try:
            answer = self._connection.getresponse()
            self._answered, reason = True, _reason(answer.read())
        except (OSError, http.client.HTTPException):
            reason = str(error) or type(error).__name__
        return refused(self._path, f"{urlsplit(self._where).netloc}: {reason}", user=self._user)


def namenodes(hadoop: Hadoop, authority: str) -> list[str]:
    """Web addresses of the NameNodes behind ``authority``, a nameservice or host:port (hdfs-default.xml 3.5.0)."""
    https = hadoop.get("dfs.http.policy") == "HTTPS_ONLY"
    scheme, key, port = ("https", "https-address", 9871) if https else ("http", "http-address", 9870)
    services = [name.strip() for name in hadoop.get("dfs.nameservices").split(",") if name.strip()]
    host = authority.rsplit(":", 1)[0]
    if authority not in services:
        # The configuration speaks of its own NameNode; another cluster's is looked for where Hadoop's defaults put it.
        own = hadoop.default_fs.removeprefix("hdfs://") == authority
        found = [(hadoop.get(f"dfs.namenode.{key}") if own else "") or f"0.0.0.0:{port}"]
    else:
        ids = [name.strip() for name in hadoop.get(f"dfs.ha.namenodes.{authority}").split(",") if name.strip()]
        keys = [f"dfs.namenode.{key}.{authority}.{name}" for name in ids] or [f"dfs.namenode.{key}.{authority}"]
        found = [address for address in map(hadoop.get, keys) if address]
    # The default address listens everywhere and names no host.
    return [f"{scheme}://{address.replace('0.0.0.0', host)}" for address in found]  # noqa: S104


def _connect(address: str, limit: float) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(address)
    return web_link.connect(address, limit), f"{parts.path}?{parts.query}"


def _stat(entry: dict[str, Any]) -> Stat:
    return Stat(
        int(entry["length"]), int(entry["modificationTime"]), entry["type"] == "DIRECTORY", int(entry["permission"], 8)
    )


def _remote(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)["RemoteException"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _exception(body: bytes) -> str:
    return _remote(body).get("exception", "")


def _reason(body: bytes) -> str:
    remote = _remote(body)
    text = f"{remote.get('exception', '')}: {remote.get('message', '')}" if remote else body.decode(errors="replace")
    return (text.strip().splitlines() or ["no reason given"])[0]


def _unreachable_datanode(where: str, error: Exception) -> StagingFailed:
    host = urlsplit(where).netloc
    return StagingFailed(
        f"the DataNode {host}, which HDFS names for the bytes, cannot be reached from this machine",
        log=str(error),
        hint=f"getent hosts {host.rsplit(':', 1)[0]}   # its name must resolve here",
    )
