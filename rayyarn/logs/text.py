"""YARN's form of container logs, read; and which of their lines matter. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What lies beside the logs and is none: YARN's launch script and list of files, Ray's counters, written anew each 10 s.
NOT_LOGS = frozenset({"launch_container.sh", "directory.info", "debug_state.txt", "debug_state_gcs.txt"})

# LogToolUtils.outputContainerLog of Hadoop 3.5.0: a head for each file, LogLength bytes, and a closing line.
_BEGIN = b"LogContents:\n"
_HEAD = re.compile(rb"^(Container: (?P<container>\S+) on (?P<node>\S+)|LogType:(?P<file>.*)|LogLength:(?P<length>\d+))")


def logs(files: Iterable[str], only: str | None = None) -> list[str]:
    """The logs among ``files``, by name; ``only`` this one."""
    return sorted(file for file in files if file not in NOT_LOGS and only in (None, file))


@dataclass(frozen=True)
class Part:
    """A file in a stream of logs: its whole length, and where its bytes begin in the stream."""

    container: str
    node: str  # as YARN writes it: host and port of the NodeManager, joined by ":" or "_"
    file: str
    length: int
    at: int


def parts(stream: IO[bytes]) -> Iterator[Part]:
    """The files of what ``yarn logs`` printed. ``stream`` can seek; contents are passed over, whatever is in them."""
    known: dict[str, bytes] = {}
    while line := stream.readline():
        if line == _BEGIN and {"container", "file", "length"} <= known.keys():
            words = {key: value.decode(errors="replace").strip() for key, value in known.items()}
            length = int(words["length"])
            yield Part(words["container"], words.get("node", ""), words["file"], length, at := stream.tell())
            stream.seek(at + length)
            del known["file"], known["length"]
        elif found := _HEAD.match(line):
            known |= {key: value for key, value in found.groupdict().items() if value is not None}


def excerpt(answer: bytes, size: int) -> tuple[int, bytes]:
    """One file of a NodeManager's page: its whole length, and its last ``size`` bytes (what was asked for)."""
    head, begin, rest = answer.partition(_BEGIN)
    length = re.search(rb"^LogLength:(\d+)$", head, re.MULTILINE)
    if not begin or length is None:  # an older NodeManager: the bytes and nothing else
        return len(answer), answer[-size:] if size else b""
    whole = int(length[1])
    return whole, rest[: min(size, whole)]


# Ray's C++ ([2026-11-25 04:00:00,123 E 12 12] ...), Python's logging and log4j, and what a dying process says itself.
_SEVERE = re.compile(
    r"^\[[-\d: ,.T+]+ (?P<cpp>[A-Z]) \d+ \d+\]"
    r"|^\S{0,12}[ T]?[-\d:., ]{8,}[ \t]*\[?(?P<level>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b"
)
_OPEN = re.compile(r"^(\S* ?)?(Traceback \(most recent call last\)|Exception in thread|\*\*\* SIG|Fatal Python error)")
_TELLS = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt|Died|Exit)(:|$)|^Caused by: |Check failed|Segmentation fault|Killed$"
    r"|OutOfMemory|out of memory|No space left|Bus error|core dumped|killed by|command not found|cannot execute"
    r"|No such file or directory|Permission denied|beyond the .* memory limit"
)
_GOES_ON = re.compile(r"^(\s|@ |\.\.\. \d+ more|Caused by: |During handling of|The above exception)")


_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+")
_LEAVES = re.compile(rf"^({_STAMP.pattern}) INFO leaving: ", re.MULTILINE)  # our supervisor, before it stops Ray


def stopped(supervisor: str) -> str | None:
    """When Ray was told to stop, as the supervisor's log has it: what Ray complains of from then on is no news."""
    found = _LEAVES.findall(supervisor)
    return found[-1] if found else None


class Sieve:
    """Keeps the lines of errors, each with the trace that belongs to it; told the lines of one file in order."""

    def __init__(self, until: str | None = None) -> None:
        """``until``: the time, as logs write it, from which on nothing is kept."""
        self._within = self._trace = self._over = False
        self._until = until

    def keeps(self, line: str) -> bool:
        """True for a line that tells of an error."""
        if self._until and (stamp := _STAMP.search(line[:40])) and stamp[0] >= self._until:
            self._over = True
        if self._over:
            return False
        severe = _SEVERE.search(line)
        if severe:
            self._within = (severe["cpp"] or severe["level"])[0] in "EFC"
            self._trace = False
        elif _OPEN.search(line):
            self._within = self._trace = True
        elif _GOES_ON.search(line) or not line.strip():
            pass  # belongs to what stands above it
        elif self._trace or _TELLS.search(line):
            self._within, self._trace = True, False  # the sentence that ends a trace
        else:
            self._within = False
        return self._within and bool(line.strip())


def telling(lines: Iterable[str], until: str | None = None) -> Iterator[str]:
    """Of ``lines`` of one file, in order, those of errors; see ``Sieve``."""
    sieve = Sieve(until)
    return (line for line in lines if sieve.keeps(line))


def last(lines: Iterable[str], count: int | None) -> list[str]:
    """The last ``count`` of ``lines``; all of them without a count."""
    listed = list(lines)
    return listed if count is None else listed[len(listed) - count :] if count < len(listed) else listed
