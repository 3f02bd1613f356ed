"""The machine of this command: Java, limits of its processes, shared memory, web proxies, versions."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rayyarn import hadoop
from rayyarn.doctor.finding import NOTE, OK, PROBLEM, Finding, of_error
from rayyarn.doctor.running import Blocked
from rayyarn.environment import PYTHONS
from rayyarn.errors import JavaNotFound
from rayyarn.sizing import MIB
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rayyarn.doctor.facts import Facts

# Ray's own advice is 65536 open files; an idle edge node needs some hundreds, and each worker it talks to a few more.
_FILES_LEAST, _FILES_GOOD = 1024, 4096
# A raylet, its agents and a driver have 100 to 390 threads (measured, 2.60), and each counts as a process.
_PROCESSES_LEAST, _PROCESSES_GOOD = 512, 4096
_SHM_LEAST = 256 * MIB  # the edge's own Ray node keeps 200 MiB for objects
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def java(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The Java that submits."""
    try:
        found = hadoop.find_java(environ)
    except JavaNotFound as error:
        yield of_error("java", "Java", error, "nothing can be submitted to YARN")
        return
    how = "JAVA_HOME" if environ.get("JAVA_HOME") else "PATH; JAVA_HOME is not set"
    text = f"Java {found.major}, {found.home} (from {how})"
    if found.major < 17:
        means = "enough to submit to an older Hadoop; PySpark 4, Hadoop 3.5 and the mini cluster need Java 17"
        yield Finding("java", "Java", NOTE, text, means, "export JAVA_HOME=...   # a Java 17")
        return
    yield Finding("java", "Java", OK, text)


def limits() -> Iterator[Finding]:
    """Open files and processes that this shell may have; the nodes have limits of their own."""
    yield _limit("open_files", "open files", resource.RLIMIT_NOFILE, (_FILES_LEAST, _FILES_GOOD), "ulimit -n 65536")
    wanted = (_PROCESSES_LEAST, _PROCESSES_GOOD)
    yield _limit("processes", "processes", resource.RLIMIT_NPROC, wanted, "ulimit -u 16384")


def _limit(name: str, subject: str, kind: int, wanted: tuple[int, int], fix: str) -> Finding:
    soft, hard = resource.getrlimit(kind)
    text = f"{_shown(soft)} here (at most {_shown(hard)})"
    if soft == resource.RLIM_INFINITY or soft >= wanted[1]:
        return Finding(name, subject, OK, text)
    verdict = PROBLEM if soft < wanted[0] else NOTE
    means = f"programs that use the cluster from this shell may fail; {wanted[1]} or more is comfortable"
    return Finding(name, subject, verdict, text, means, fix)


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def shared_memory() -> Iterator[Finding]:
    """``/dev/shm`` of this machine, where a Ray node keeps its objects."""
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108 - the shared memory, not a temporary file
    except OSError:
        size = free = 0
    else:
        size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    text = f"/dev/shm has {format_size(size)}, {format_size(free)} free (the nodes' is not seen from here)"  # noqa: S108
    if free >= _SHM_LEAST:
        yield Finding("shared_memory", "shared memory", OK, text)
        return
    means = "Ray falls back to the disk for what a program on this machine puts and gets: slower, not wrong"
    yield Finding("shared_memory", "shared memory", NOTE, text, means, "mount -o remount,size=2g /dev/shm   # as root")


def proxies(facts: Facts, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Web proxy variables: ours ignore them, a user's programs do not."""
    found = {name: environ[form] for name in PROXIES for form in (name, name.upper()) if environ.get(form)}
    if not found:
        yield Finding("proxies", "web proxies", OK, "no proxy variables are set")
        return
    text = ", ".join(f"{name}={_without_password(value)}" for name, value in found.items())
    hosts = sorted({urlsplit(address).hostname or "" for address in facts.site.get().rm_web})
    with suppress(Blocked):  # the check of YARN says why; its managers are known without it
        hosts += [node.host for node in facts.running()]
    spared = (environ.get("no_proxy") or environ.get("NO_PROXY") or "").replace(" ", "").split(",")
    bare = [host for host in hosts if not _is_spared(host, spared)]
    if not bare:
        yield Finding("proxies", "web proxies", OK, f"{text}; no_proxy names all hosts of this YARN")
        return
    means = (
        "rayyarn's own calls ignore them; pip, curl and programs of yours send calls to "
        f"{bare[0]}{' and others' if len(bare) > 1 else ''} through the proxy"
    )
    shown = ",".join([*filter(None, spared), *(bare if len(bare) <= 5 else _domains(bare))])
    yield Finding("proxies", "web proxies", NOTE, text, means, f"export no_proxy={shown}")


def _domains(hosts: list[str]) -> list[str]:
    """Domains instead of many hosts; addresses stay as they are."""
    numeric = [host for host in hosts if host.replace(".", "").isdigit() or "." not in host]
    return sorted({"." + host.split(".", 1)[1] for host in hosts if host not in numeric}) + numeric[:5]


def _is_spared(host: str, spared: list[str]) -> bool:
    return any(one == "*" or (one and (host == one or host.endswith("." + one.lstrip(".")))) for one in spared)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else url.replace(parts.netloc, f"***@{parts.netloc.rsplit('@', 1)[1]}")


def versions() -> Iterator[Finding]:
    """What runs this command. Ray and PySpark may be missing here: they run in the environment."""
    packages = {name: _version(name) for name in ("rayyarn", "skein", "click", "ray", "pyspark")}
    numbers = ".".join(map(str, sys.version_info[:3]))
    text = ", ".join([f"Python {numbers}", *(f"{name} {number or '-'}" for name, number in packages.items())])
    trouble, fix = "", ""
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        trouble, fix = "rayyarn runs on Python 3.11 to 3.13", "python3.11 -m venv .venv"
    elif packages["skein"] is None:
        trouble, fix = "without skein nothing can be submitted", "pip install skein==0.8.2"
    elif sys.version_info >= (3, 12) and find_spec("setuptools") is None:
        trouble, fix = "skein imports distutils, which Python 3.12 has no more", "pip install setuptools"
    elif platform.machine() != "x86_64" or sys.platform != "linux":
        trouble = f"skein's encryption exists for Linux on x86_64 alone, and this is {platform.machine()}"
    yield Finding("versions", "versions", PROBLEM if trouble else OK, text, trouble, fix)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
