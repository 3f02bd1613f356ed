"""What a test may have left behind on this machine and on YARN, as snapshots that can be compared.

Only what can be ours counts, because other work goes on on the same machine: processes that carry the test run's mark
or work in its folders, entries of /tmp and /dev/shm with names that our programs give and that no process of other work
has in use. On a machine that does nothing
else, RAYYARN_TEST_QUIET_MACHINE=1 counts every new entry of this user.

hsperfdata files of killed JVMs are left out: they are the JVM's own, and the user's next JVM removes them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from rayyarn.mini.daemons import MARKER
from rayyarn.mini.process import Process

MARK = "RAYYARN_TEST_RUN"  # in the environment of everything a test starts
_OURS = {
    "/tmp": ["ray", "ray_*", "rayyarn*", "skein*", "spark-*", "blockmgr-*", "jetty-127_*", "hadoop-*", "libnetty*"],
    "/dev/shm": ["ray*", "plasma*", "sem.*", "rayyarn*"],
}

# Where a raylet was told that its agents listen.
_AGENT = re.compile(r"--(metrics[-_]agent|metrics[-_]export|runtime[-_]env[-_]agent|listen)[-_]port=([1-9]\d*)")

Snapshot = dict[str, dict[str, str]]  # category -> what it is, for comparing -> how it reads


@dataclass(frozen=True)
class Watch:
    """Where to look. ``mini`` is the folder of the mini cluster, when it is one on this machine."""

    mark: str
    folders: tuple[Path, ...]
    home: Path
    tmp: Path
    mini: Path | None = None
    block: str | None = None
    shared: dict[str, Path] = field(default_factory=lambda: {name: Path(name) for name in _OURS})

    def snapshot(self) -> Snapshot:
        """Everything of ours that is there now."""
        processes = self._processes()
        found: Snapshot = {
            "process": {f"{p.pid}/{p.start}": f"{p.pid} {_command(p.pid)}" for p in processes},
            "listening": _listening([p.pid for p in processes], self.block),
            "own tmp": _entries(self.tmp, ["*"]),
            "connection file": _glob(self.home, ".rayyarn/clusters/*/*"),
        }
        quiet = os.environ.get("RAYYARN_TEST_QUIET_MACHINE") == "1"
        for name, path in self.shared.items():
            entries = _entries(path, ["*"] if quiet else _OURS[name])
            found[name] = entries if quiet else _not_in_use(entries, {p.pid for p in processes})
        if self.mini is not None:
            found["node folder"] = {
                **_glob(self.mini, "nodes/*/local/usercache/*/appcache/*"),
                **_glob(self.mini, "nodes/*/local/nmPrivate/*"),
                **_glob(self.mini, "nodes/*/logs/*"),
            }
            found["default file system"] = {
                **_glob(self.mini, "fs/user/*/.skein/*"),
                **_glob(self.mini, "fs/user/*/.rayyarn/apps/*"),
            }
        return found

    def started(self, limit: float = 90.0) -> Snapshot:
        """A snapshot when Ray's agents listen on each node of ours: they start by themselves once the node is there."""
        end = time.monotonic() + limit
        while True:
            pids = [process.pid for process in self._processes()]
            told = {found for pid in pids for found in _AGENT.findall(_command(pid, whole=True))}
            seen = self.snapshot()
            missing = {(name, port) for name, port in told if not _listens(name, port, seen["listening"])}
            if not missing:
                return seen
            assert time.monotonic() < end, f"nobody listens at {missing}"
            time.sleep(0.2)

    def settle(self, before: Snapshot, limit: float = 30.0) -> list[str]:
        """What is there and was not ``before``; waits up to ``limit`` seconds for it to vanish."""
        end = time.monotonic() + limit
        while True:
            left = difference(before, self.snapshot())
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.5)

    def _processes(self) -> list[Process]:
        """Ours, and the children of ours: Ray's processes overwrite their environment with their titles."""
        rows = {int(entry.name): entry for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        parents = {pid: _parent(entry) for pid, entry in rows.items()}
        spared = {os.getpid(), *_ancestors(os.getpid(), parents)}
        daemons = {pid for pid, entry in rows.items() if self._is_daemon(entry)}
        marked = {pid for pid, entry in rows.items() if self._is_ours(entry)} - spared - daemons
        ours = marked | {pid for pid in rows if marked.intersection(_ancestors(pid, parents))}
        found = (Process.of(pid) for pid in ours - spared - daemons)
        return [process for process in found if process is not None]

    def _is_daemon(self, proc: Path) -> bool:
        return self.mini is not None and f"{MARKER}={self.mini}".encode() in _environ(proc)

    def _is_ours(self, proc: Path) -> bool:
        try:
            cwd = (proc / "cwd").readlink()
        except OSError:
            return False
        if any(cwd.is_relative_to(folder) for folder in self.folders):
            return True
        environ = _environ(proc)
        return f"{MARK}={self.mark}".encode() in environ or any(
            f"LOCAL_DIRS={folder}/".encode() in environ for folder in self.folders
        )


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """One line for each thing that is new."""
    return [
        f"{category}: {text}"
        for category, things in after.items()
        for key, text in sorted(things.items())
        if key not in before.get(category, {})
    ]


def _listens(name: str, port: str, listening: dict[str, str]) -> bool:
    """The agent's web server takes its node's address first and 127.0.0.1 after it (http_server_agent.py, Ray 2.60)."""
    if name == "listen":
        return f"127.0.0.1:{port}" in listening
    return any(text.endswith(f":{port}") for text in listening)


def _entries(folder: Path, patterns: list[str]) -> dict[str, str]:
    found = {}
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return {}
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        names = [pattern for pattern in patterns if fnmatch.fnmatch(entry.name, pattern)]
        if names and status.st_uid == os.getuid() and not entry.name.startswith(("pytest-of-", "hsperfdata_")):
            found[f"{entry.path} {status.st_ino}"] = entry.path
    return found


def _not_in_use(entries: dict[str, str], ours: set[int]) -> dict[str, str]:
    """The entries without those that a process of other work on this machine names or holds open."""
    if not entries:
        return entries
    used = []
    for proc in Path("/proc").iterdir():
        if proc.name.isdigit() and int(proc.name) not in ours:
            used += [*_open_files(int(proc.name)), _command(int(proc.name))]
    return {key: path for key, path in entries.items() if not any(path in text for text in used)}


def _glob(folder: Path, pattern: str) -> dict[str, str]:
    return {str(path): str(path) for path in folder.glob(pattern)}


def _environ(proc: Path) -> bytes:
    try:
        return (proc / "environ").read_bytes()
    except OSError:
        return b""


def _command(pid: int, *, whole: bool = False) -> str:
    try:
        text = (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "?"
    return text if whole else text[:200]


def _open_files(pid: int) -> list[str]:
    """What its descriptors point to: paths, ``socket:[123]``."""
    found = []
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile, as the one of this listing always is
                found.append(str(link.readlink()))
    except OSError:  # gone, or another user's
        pass
    return found


def _parent(proc: Path) -> int:
    try:
        return int((proc / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _ancestors(pid: int, parents: dict[int, int]) -> list[int]:
    found = []
    while parents.get(pid, 0) > 1:
        pid = parents[pid]
        found.append(pid)
    return found


def _listening(pids: list[int], block: str | None) -> dict[str, str]:
    """Listening TCP sockets that our processes hold, or that lie in our loopback block."""
    inodes = {name for pid in pids for name in _open_files(pid)}
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] != "0A":  # LISTEN
                continue
            host, port = fields[1].split(":")
            address = ".".join(str(byte) for byte in reversed(bytes.fromhex(host))) if len(host) == 8 else host
            if f"socket:[{fields[9]}]" in inodes or (block and address.startswith(f"{block}.")):
                text = f"{address}:{int(port, 16)}"
                found[text] = text
    return found
