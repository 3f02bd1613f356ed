"""What this edge knows of its Hadoop: the configuration folder, Java, and the jars a client needs."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rayyarn import home
from rayyarn.errors import HadoopNotFound, HadoopUnusable, JavaNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"\$\{([^}$ ]+)\}")
# `yarn classpath` is a shell script that may start a JVM: 0.1 to 2 s where it is slow.
_CLASSPATH_LIMIT = 60.0
# For JVMs that live for seconds or do little: quick compilation beats good compilation (skein's driver needs 2.1 s
# instead of 4.5 s to its first call), and without perf data a killed JVM leaves nothing in /tmp/hsperfdata_<user>.
QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")


@dataclass(frozen=True)
class Java:
    """A Java that can be started: its program, its home and its major version (8, 11, 17, ...)."""

    path: Path
    home: Path
    major: int


@dataclass(frozen=True)
class Hadoop:
    """One configuration folder, read once. ``origin`` says why this folder was taken."""

    conf_dir: Path
    origin: str
    properties: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, compare=False)

    def get(self, key: str, default: str = "") -> str:
        """The value of ``key`` with ``${...}`` and ``${env.X}`` filled in, as Hadoop's Configuration does."""
        value = self.properties.get(key, default)
        for _ in range(20):  # Hadoop's own limit for nested variables
            match = _VARIABLE.search(value)
            if not match:
                break
            name = match[1]
            inner = self.environ.get(name[4:], "") if name.startswith("env.") else self.properties.get(name, "")
            value = value[: match.start()] + inner + value[match.end() :]
        return value.strip()

    @property
    def default_fs(self) -> str:
        """``hdfs://nn:9000``, ``viewfs://mini``: without a trailing slash."""
        return self.get("fs.defaultFS", "file:///").rstrip("/")

    @property
    def user(self) -> str:
        """Who this machine is for a cluster without Kerberos."""
        return self.environ.get("HADOOP_USER_NAME") or getpass.getuser()

    @property
    def admins(self) -> tuple[str, ...]:
        """The users whom ``yarn.admin.acl`` names. Its default, ``*``, makes everybody one; that is not meant here."""
        users = self.properties.get("yarn.admin.acl", "*").split(" ", 1)[0].split(",")  # " wheel" names a group alone
        return tuple(user for user in users if user and user != "*")

    @property
    def home(self) -> str:
        """The user's folder on the default file system."""
        return f"{self.get('dfs.user.home.dir.prefix', '/user').rstrip('/')}/{self.user}"

    @property
    def rm_web(self) -> tuple[str, ...]:
        """Web addresses of all ResourceManagers with their scheme, ``http://rm1:8088``."""
        https = self.get("yarn.http.policy") == "HTTPS_ONLY"
        scheme, key, port = ("https", "webapp.https.address", 8090) if https else ("http", "webapp.address", 8088)
        ids = [""]
        if self.get("yarn.resourcemanager.ha.enabled") == "true":
            ids = ["." + name.strip() for name in self.get("yarn.resourcemanager.ha.rm-ids").split(",")]
        found = []
        for suffix in ids:
            host = self.get(f"yarn.resourcemanager.hostname{suffix}", self.get("yarn.resourcemanager.hostname"))
            address = self.get(f"yarn.resourcemanager.{key}{suffix}") or f"{host or '0.0.0.0'}:{port}"  # noqa: S104
            found.append(f"{scheme}://{address}")
        return tuple(found)

    @property
    def web_proxy(self) -> str:
        """The address of a web proxy apart from the ResourceManagers; empty where they are it, as by default."""
        address = self.get("yarn.web-proxy.address")
        scheme = "https" if self.get("yarn.http.policy") == "HTTPS_ONLY" else "http"
        return f"{scheme}://{address}" if address else ""

    @property
    def yarn_id(self) -> str:
        """A name for this YARN that keeps two clusters apart on one edge; fit for a folder."""
        name = self.get("yarn.resourcemanager.cluster-id") or self.rm_web[0].split("//", 1)[1].removesuffix(":8088")
        return re.sub(r"[^A-Za-z0-9.-]", "-", name)

    @property
    def secure(self) -> bool:
        """True when the site uses Kerberos."""
        return self.get("hadoop.security.authentication", "simple") == "kerberos"

    def check(self) -> None:
        """Raise HadoopUnusable for a configuration with which no application can be submitted."""
        if self.default_fs.startswith("file:") or not self.default_fs:
            raise HadoopUnusable(
                f"fs.defaultFS is {self.default_fs or 'file:'}/// in {self.conf_dir}: containers on other machines "
                "cannot read this machine's files",
                hint="export HADOOP_CONF_DIR=/etc/hadoop/conf   # the folder whose core-site.xml names your hdfs://",
            )

    def java(self) -> Java:
        """The Java of JAVA_HOME, else of PATH."""
        return find_java(self.environ)

    def classpath(self) -> str:
        """What a Hadoop client JVM needs after its own jar: this configuration folder, then the jars.

        The jars are those that ``yarn classpath`` (or ``hadoop classpath``) names, without ``--glob``: the JVM expands
        ``dir/*`` itself, and the long form has burst the kernel's 128 KiB limit for one variable (jcrist/skein#253).
        Failing that, the jars inside an installed pyspark.
        """
        program = self.program()
        if program is not None:
            return f"{self.conf_dir}:{self._program_classpath(program)}"
        spec = find_spec("pyspark")
        if spec is not None and spec.origin:
            return f"{self.conf_dir}:{Path(spec.origin).parent / 'jars'}/*"
        raise HadoopNotFound(
            f"no `yarn` or `hadoop` program on PATH or in HADOOP_HOME to go with {self.conf_dir}",
            hint="export HADOOP_HOME=/opt/hadoop   # or: pip install pyspark",
        )

    def program(self) -> Path | None:
        """The ``yarn`` or ``hadoop`` that goes with this configuration: beside it, in HADOOP_HOME, or on PATH."""
        folders = [self.conf_dir.parent / "bin"]  # the mini cluster, and a Hadoop unpacked from its tarball
        if self.environ.get("HADOOP_HOME"):
            folders += [Path(self.environ["HADOOP_HOME"]) / "bin"]
        folders += [Path(part) for part in self.environ.get("PATH", "").split(os.pathsep) if part]
        for folder in folders:
            for name in ("yarn", "hadoop"):
                if os.access(folder / name, os.X_OK):
                    return folder / name
        return None

    def _program_classpath(self, program: Path) -> str:
        cache = home.cache() / "classpath.json"
        status = program.stat()
        key = f"{program} {status.st_mtime_ns} {self.conf_dir} {self.environ.get('HADOOP_CLASSPATH', '')}"
        try:
            known = json.loads(cache.read_text())
        except (OSError, ValueError):
            known = {}
        if key not in known:
            environ = {**self.environ, "HADOOP_CONF_DIR": str(self.conf_dir)}
            done = subprocess.run(
                [str(program), "classpath"], env=environ, capture_output=True, text=True, timeout=_CLASSPATH_LIMIT
            )
            lines = done.stdout.strip().splitlines()
            if done.returncode or not lines:
                last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
                raise HadoopUnusable(f"`{program} classpath` failed", log=last, hint=f"{program} classpath")
            known[key] = lines[-1]
            home.write_private(cache, json.dumps(known).encode())
        return str(known[key])


def find(conf: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> Hadoop:
    """The Hadoop to use: ``conf``, HADOOP_CONF_DIR, YARN_CONF_DIR, HADOOP_HOME, /etc/hadoop/conf, a mini cluster.

    Raises HadoopNotFound when none of them has a yarn-site.xml or core-site.xml.
    """
    environ = os.environ if environ is None else environ
    for origin, folder in _candidates(conf, environ):
        if (folder / "yarn-site.xml").is_file() or (folder / "core-site.xml").is_file():
            return Hadoop(folder.resolve(), origin, _read(folder), environ)
        if origin in ("--hadoop-conf", "HADOOP_CONF_DIR", "YARN_CONF_DIR"):
            raise HadoopNotFound(
                f"{origin} is {folder}, and there is no core-site.xml or yarn-site.xml in it",
                hint="ls /etc/hadoop/conf   # or ask who runs your cluster for its client configuration",
            )
    raise HadoopNotFound(
        "no Hadoop here: HADOOP_CONF_DIR and HADOOP_HOME are not set, /etc/hadoop/conf is not there, "
        "and no mini cluster runs",
        hint="rayyarn mini up   # a real small YARN on this machine",
    )


def _candidates(conf: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if conf:
        yield "--hadoop-conf", Path(conf)
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        if environ.get(name):
            yield name, Path(environ[name])
    if environ.get("HADOOP_HOME"):
        yield "HADOOP_HOME", Path(environ["HADOOP_HOME"]) / "etc" / "hadoop"
    yield "/etc/hadoop/conf", Path("/etc/hadoop/conf")
    # At the last moment: programs inside containers import this module and have no mini cluster.
    if find_spec("rayyarn.mini") is not None:
        from rayyarn.mini import cluster

        for mini in cluster.running():
            yield f"the mini cluster {mini.name!r}", Path(mini.conf_dir)


def _read(folder: Path) -> dict[str, str]:
    properties: dict[str, str] = {}
    for name in ("core-site.xml", "hdfs-site.xml", "yarn-site.xml", "mapred-site.xml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            root = ElementTree.parse(path).getroot()  # noqa: S314 - the site's own configuration
        except ElementTree.ParseError as error:
            raise HadoopUnusable(f"{path} is not XML: {error}", hint=f"xmllint --noout {path}") from None
        for entry in root.iter("property"):
            key = entry.findtext("name")
            if key:
                properties[key.strip()] = entry.findtext("value") or ""
    return properties


def find_java(environ: Mapping[str, str] | None = None, *, at_least: int = 8) -> Java:
    """The Java of JAVA_HOME, else of PATH. Raises JavaNotFound when there is none or it is too old."""
    environ = os.environ if environ is None else environ
    where = environ.get("JAVA_HOME")
    found = str(Path(where) / "bin" / "java") if where else shutil.which("java", path=environ.get("PATH"))
    if not found or not os.access(found, os.X_OK):
        place = f"JAVA_HOME is {where}, and there is no bin/java in it" if where else "no `java` on PATH"
        raise JavaNotFound(f"no Java: {place}", hint="apt-get install openjdk-17-jre-headless   # or set JAVA_HOME")
    path = Path(found)
    java_home = path.resolve().parent.parent
    major = _java_major(path, java_home)
    if major < at_least:
        raise JavaNotFound(f"{found} is Java {major}; Java {at_least} or newer is needed", hint="export JAVA_HOME=...")
    return Java(path, java_home, major)


def _java_major(path: Path, java_home: Path) -> int:
    # The release file spares a JVM start (0.1 s); it is missing in some repackaged JREs.
    release = java_home / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    match = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', text)
    if not match:
        try:
            done = subprocess.run([str(path), "-version"], capture_output=True, text=True, timeout=30)
            match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise JavaNotFound(f"{path} does not run: {error}", hint="export JAVA_HOME=...") from None
    if not match:
        raise JavaNotFound(f"{path} does not say which Java it is", hint=f"{path} -version")
    return int(match[1])
