"""The daemons of a mini cluster: how each is started, whether it lives, and what it said last."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn.mini import fastlocalfs
from rayyarn.mini.process import Process

if TYPE_CHECKING:
    from pathlib import Path

    from rayyarn.hadoop import Java
    from rayyarn.mini.conf import Shape

MARKER = "RAYYARN_MINI"  # in the environment of daemons, never of clients or containers
_MAIN = {
    "nn": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "dn": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "rm": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nm": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
}
# A daemon that serves one laptop is ready sooner without the optimizing compiler and the parallel collector (twice as
# fast for Skein's driver); no hsperfdata in /tmp, which a killed JVM would leave there.
FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true"]
_HEAP = "-Xmx384m"  # 235-265 MB resident in all
_TAIL = 1 << 16


@dataclass(frozen=True)
class Daemon:
    """One daemon as it was started."""

    role: str  # rm, nm1, nm2, nn, dn
    host: str
    process: Process
    log: Path

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.process.alive

    @property
    def last_words(self) -> str:
        """The line of its log that says why it died, as far as a line does."""
        return last_words(self.log)


def roles(shape: Shape) -> list[str]:
    """All daemons in the order of their start: those that take longest to be ready first."""
    return ["rm", *(f"nm{index + 1}" for index in range(shape.nodes)), *(["nn", "dn"] if shape.hdfs else [])]


def title(role: str) -> str:
    """The daemon's name for people."""
    names = {"rm": "ResourceManager", "nn": "NameNode", "dn": "DataNode"}
    return names.get(role) or f"NodeManager {role.removeprefix('nm')}"


def start(role: str, shape: Shape, java: Java) -> Daemon:
    """Start one daemon in a session of its own, its output in a log file."""
    log = shape.folder / "logs" / f"{role}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            command(role, shape, java),
            env=environment(shape, java),
            cwd=shape.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the shell's Ctrl-C and hang-up are not for it
            umask=0o022,
        )
    # It outlives this handle, and is reaped by whoever asks whether it is alive: subprocess has nothing to warn of.
    child.returncode = 0
    host = shape.block.node(int(role[2:]) - 1) if role.startswith("nm") else shape.block.master
    # A daemon dead already is a zombie now: a start time of 0 matches no process, and its log says why.
    return Daemon(role, host, Process.of(child.pid) or Process(child.pid, 0), log)


def format_namenode(shape: Shape, java: Java, limit: float) -> subprocess.CompletedProcess[bytes]:
    """Make an empty HDFS; its output is the NameNode's log."""
    log = shape.folder / "logs" / "nn.log"
    with log.open("ab") as output:
        return subprocess.run(
            [*command("nn", shape, java), "-format", "-nonInteractive"],
            env=environment(shape, java),
            cwd=shape.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=limit,
        )


def command(role: str, shape: Shape, java: Java) -> list[str]:
    """The daemon's command line."""
    folder = shape.folder
    if role.startswith("nm"):
        path = [f"{folder}/conf-{role}", str(fastlocalfs.JAR)]
    else:
        # conf-master also holds empty webapps folders: hadoop-hdfs has its pages in another jar, and looks for them.
        path = [f"{folder}/conf", f"{folder}/conf-master"]
    path.append(f"{shape.jars}/*")
    options = [_HEAP, f"-Djava.io.tmpdir={folder}/scratch", f"-Dhadoop.log.dir={folder}/logs"]
    return [str(java.path), *FLAGS, *options, "-cp", ":".join(path), _MAIN[role.rstrip("0123456789")]]


def environment(shape: Shape, java: Java) -> dict[str, str]:
    """The daemons' whole environment. NodeManagers hand what is on the env-whitelist to containers."""
    folder = str(shape.folder)
    kept = {name: os.environ[name] for name in ("TZ", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        MARKER: folder,
        "PATH": f"{java.home}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": folder,
        "USER": shape.user,
        "JAVA_HOME": str(java.home),
        "HADOOP_CONF_DIR": f"{folder}/conf",
        **dict.fromkeys(("HADOOP_HOME", "HADOOP_COMMON_HOME", "HADOOP_HDFS_HOME", "HADOOP_YARN_HOME"), folder),
    }


def last_words(log: Path) -> str:
    """The line that matters in a daemon's log: the cause of the last error, else the error, else the last line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip() and not _NOISE.search(line)]
    errors = [index for index, line in enumerate(lines) if _ERROR.search(line)]
    if not errors:
        return lines[-1] if lines else ""
    causes = [line for line in lines[errors[0] :] if line.startswith("Caused by:")]
    if causes:
        return causes[-1]
    last = errors[-1]
    # The JVM's own complaint takes two lines, the reason in the second.
    return ": ".join(lines[last : last + 2]) if lines[last].endswith("initialization of VM") else lines[last]


_ERROR = re.compile(r" (ERROR|FATAL) |^(Error|Exception|Caused by:|#  )|^[\w.$]+(Error|Exception): |OutOfMemoryError")
# Said by every daemon that is told to end.
_NOISE = re.compile(r"SHUTDOWN_MSG|^\*+/?$|^/\*+$|RECEIVED SIGNAL|^\s+at |^\s*\.\.\. \d+ more")
