"""Any Hadoop file system through Hadoop's own shell: one JVM (1 to 2 s) a call. The last door, always open.

Facts: Hadoop 3.5.0 "FileSystem Shell" (FileSystemShell.html): ``-stat`` with %b %Y %F %a, ``-put -`` reads stdin,
``-mv`` refuses an existing target. It expands wildcards itself, in targets too, hence the escapes.
"""
# ruff: noqa: D102 - FileSystem says what each of its methods does

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rayyarn.errors import StagingFailed
from rayyarn.filesystem.door import FileSystem, Stat, Upload, refused
from rayyarn.hadoop import QUICK_JVM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rayyarn.hadoop import Hadoop

_LIMIT = 120.0  # seconds: a JVM on a loaded edge node, and an HDFS that answers slowly
_FORMAT = "rayyarn %b %Y %a %F|%n"
_MISSING = "No such file or directory"


class FsShell(FileSystem):
    """The default file system of ``hadoop`` by ``org.apache.hadoop.fs.FsShell``."""

    def __init__(self, root: str, hadoop: Hadoop) -> None:
        super().__init__(root)
        self._hadoop = hadoop

    @property
    def jvm(self) -> bool:
        return True

    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        # The name alone comes back, so two paths of one name are told apart by order: ask with their full URIs, and
        # count what is missing by its message.
        asked = list(paths)
        done = self._run("-stat", _FORMAT, *(self._name(path) for path in asked))
        missing = {
            path
            for path in asked
            for name in (self.uri(path), self._name(path))
            if f"`{name}': {_MISSING}" in done.stderr
        }
        found = iter([status for _, status in _parse(done.stdout)])
        present = [path for path in asked if path not in missing]
        if done.returncode and not missing:
            raise self._refused(asked[0], done.stderr)
        if len(present) != done.stdout.count("rayyarn "):
            raise self._refused((present or asked)[0], done.stderr or "FsShell -stat said too little")
        return [None if path in missing else next(found) for path in asked]

    def read(self, path: str) -> bytes:
        done = self._run("-cat", self._name(path), text=False)
        if done.returncode and _MISSING in done.stderr.decode(errors="replace"):
            raise FileNotFoundError(path)
        if done.returncode:
            raise self._refused(path, done.stderr.decode(errors="replace"))
        return bytes(done.stdout)

    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        self._must(path, "-mkdir", "-p", self._name(path), umask=0o777 & ~mode)

    def list(self, path: str) -> dict[str, Stat]:
        done = self._run("-stat", _FORMAT, f"{self._name(path.rstrip('/'))}/*")
        if done.returncode and _MISSING not in done.stderr:
            raise self._refused(path, done.stderr)
        return dict(_parse(done.stdout))

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        options = ["-r"] if recursive else []
        done = self._run("-rm", *options, "-skipTrash", self._name(path))
        if done.returncode and _MISSING not in done.stderr:
            raise self._refused(path, done.stderr)
        return done.returncode == 0

    def upload(self, path: str, mode: int) -> Upload:
        # -d: no second temporary name, which nobody would remove after us
        command = self._command("-put", "-d", "-", self._name(path), umask=0o777 & ~mode)
        return _ShellUpload(path, command, self._environ(), self._hadoop.user)

    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        if overwrite:  # the shell has no replacing move: for the length of one JVM there is no file of this name
            self.remove(target)
        done = self._run("-mv", self._name(path), self._name(target))
        if done.returncode and "File exists" in done.stderr:
            return False
        if done.returncode:
            raise self._refused(target, done.stderr)
        return True

    def _name(self, path: str) -> str:
        return self.uri(re.sub(r"([\\*?\[\]{}])", r"\\\1", path))

    def _must(self, path: str, *arguments: str, umask: int) -> None:
        done = self._run(*arguments, umask=umask)
        if done.returncode:
            raise self._refused(path, done.stderr)

    def _command(self, *arguments: str, umask: int) -> Sequence[str]:
        java = str(self._hadoop.java().path)
        shell = ["org.apache.hadoop.fs.FsShell", "-D", f"fs.permissions.umask-mode={umask:03o}"]
        return [java, *QUICK_JVM, "-cp", self._hadoop.classpath(), *shell, *arguments]

    def _run(self, *arguments: str, umask: int = 0o077, text: bool = True) -> subprocess.CompletedProcess[Any]:
        command = self._command(*arguments, umask=umask)
        try:
            return subprocess.run(
                command, capture_output=True, text=text, timeout=_LIMIT, stdin=subprocess.DEVNULL, env=self._environ()
            )
        except subprocess.TimeoutExpired as error:
            raise StagingFailed(
                f"{self.root} did not answer `{' '.join(arguments[:1])}` within {_LIMIT:.0f} s",
                hint=f"hdfs dfs -ls {self.root}/",
            ) from error

    def _environ(self) -> dict[str, str]:
        return {**self._hadoop.environ, "HADOOP_CONF_DIR": str(self._hadoop.conf_dir)}

    def _refused(self, path: str, stderr: str) -> StagingFailed:
        return refused(path, _last(stderr), user=self._hadoop.user)


class _ShellUpload(Upload):
    """Bytes into the standard input of ``-put -``."""

    def __init__(self, path: str, command: Sequence[str], environ: Mapping[str, str], user: str) -> None:
        self._path, self._user = path, user
        self._errors = b""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ,
            start_new_session=True,  # Ctrl-C is ours to handle: the bytes so far are removed, then we end
        )  # fmt: skip
        # The pipes need their own reader, or a talkative JVM would block on a full stderr.
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def write(self, data: Any) -> int:
        assert self._process.stdin is not None  # noqa: S101 - stdin=PIPE
        watchdog = threading.Timer(_LIMIT, self._process.kill)  # a JVM that takes no bytes for so long never will
        watchdog.start()
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise self._broken() from error
        finally:
            watchdog.cancel()
        return memoryview(data).nbytes

    def finish(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - stdin=PIPE
        try:
            self._process.stdin.close()
            code = self._process.wait(_LIMIT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._broken() from error
        self._reader.join(10)
        if code:
            raise self._broken()

    def abort(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        with suppress(OSError):  # what is still buffered has nowhere to go
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - stderr=PIPE
        with self._process.stderr as stream:
            self._errors = stream.read()

    def _broken(self) -> StagingFailed:
        self.abort()
        return refused(self._path, _last(self._errors.decode(errors="replace")), user=self._user)


def _parse(text: str) -> list[tuple[str, Stat]]:
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"rayyarn (\d+) (\d+) (\d+) ([^|]+)\|(.*)", line)
        if match:
            status = Stat(int(match[1]), int(match[2]), match[4] == "directory", int(match[3], 8))
            found.append((match[5], status))
    return found


def _last(text: str) -> str:
    """The line that says why: FsShell prints ``put: reason`` after whatever the loggers said."""
    noise = ("\tat ", "log4j:", "SLF4J", "Usage: ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(noise)]
    return next((line for line in reversed(lines) if re.match(r"-?[a-zA-Z]+: ", line)), lines[-1] if lines else "")
