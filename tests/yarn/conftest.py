"""The YARN that the tests in this folder run on, and the watch on what they leave behind.

By default an own mini cluster, made for this run and removed after it, whatever else runs on the machine. With
RAYYARN_TEST_HADOOP_CONF=/etc/hadoop/conf the tests run on that cluster instead.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from leftovers import MARK, Watch

from rayyarn import hadoop
from rayyarn.mini import cluster as mini_cluster
from rayyarn.mini import process, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LIVE = "NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Run:
    """A finished command."""

    rc: int
    out: str
    err: str

    @property
    def data(self) -> object:
        """``data`` of the envelope that --json printed."""
        return json.loads(self.out)["data"]


@dataclass(frozen=True)
class Yarn:
    """The YARN under test and the edge the tests use it from."""

    conf_dir: Path
    rm_web: str  # http://host:port
    environ: dict[str, str]  # for programs on the edge: an own HOME, TMPDIR, and this Hadoop
    watch: Watch
    mini: mini_cluster.MiniCluster | None

    def get(self, path: str) -> dict[str, object]:
        """One answer of the ResourceManager's REST interface."""
        with _direct.open(f"{self.rm_web}/ws/v1/cluster/{path}", timeout=20) as answer:
            return dict(json.load(answer))

    def live(self) -> dict[str, str]:
        """Applications of this user that have not ended: id -> name and state."""
        apps = (self.get(f"apps?states={_LIVE}&user={getpass.getuser()}").get("apps") or {}).get("app", [])
        return {app["id"]: f"{app['id']} {app['name']} {app['state']}" for app in apps}

    def kill(self, application: str) -> None:
        """End an application that a test forgot, and wait until it is gone."""
        url = f"{self.rm_web}/ws/v1/cluster/apps/{application}/state?user.name={getpass.getuser()}"
        body = json.dumps({"state": "KILLED"}).encode()
        headers = {"Content-Type": "application/json"}
        _direct.open(urllib.request.Request(url, body, headers, method="PUT"), timeout=20).close()
        end = time.monotonic() + 30
        while application in self.live() and time.monotonic() < end:
            time.sleep(0.2)


@pytest.fixture(scope="session")
def yarn() -> Iterator[Yarn]:
    # Not pytest's tmp_path: that keeps the last three runs, and a run's archives are gigabytes.
    root = Path(tempfile.mkdtemp(prefix="rayyarn-test-", dir=os.environ.get("RAYYARN_TEST_FOLDER", "/var/tmp")))
    given = os.environ.get("RAYYARN_TEST_HADOOP_CONF")
    machine = Watch(mark="none", folders=(root,), home=root / "home", tmp=root / "none")
    before = machine.snapshot()
    try:
        if given:
            yield _prepare(root, Path(given), None)
        else:
            with own_mini(root / "rayyarn") as made:
                yield _prepare(root, Path(made.conf_dir), made)
        left = machine.settle(before)
        assert not left, f"left behind by the whole run: {left}"
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def own_mini(home: Path, **settings: object) -> Iterator[mini_cluster.MiniCluster]:
    """A mini cluster of its own under ``home``; when it goes, nothing of it may be left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYYARN_HOME", str(home))
        made = mini_cluster.up(f"t{uuid.uuid4().hex[:8]}", **settings)  # type: ignore[arg-type]
    folder = Path(made.folder)
    try:
        yield made
    finally:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAYYARN_HOME", str(home))
            mini_cluster.down(made.name)
    assert not folder.exists()
    assert not process.of_folder(folder, marker="RAYYARN_MINI")


@contextlib.contextmanager
def on_own_mini(yarn: Yarn, prefix: Path, home: Path, **settings: object) -> Iterator[Callable[..., Any]]:
    """A command line on a mini cluster of its own, with the environment chosen; it answers what --json printed.

    ``rc`` and ``err`` are added to that; ``environ`` of the function is for other programs there.
    """
    with own_mini(home / "rayyarn", **settings) as made:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAYYARN_HOME", str(home / "rayyarn"))
            known = mini_cluster.environ(made.name)
        environ = {
            **yarn.environ, **known, "RAYYARN_HOME": str(home / "rayyarn"), "RAYYARN_ENVIRONMENT": str(prefix),
            "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        }  # fmt: skip

        def ry(*words: str) -> Any:
            command = [Path(sys.executable).with_name("rayyarn"), *words, "--json"]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
            answer = json.loads(done.stdout)
            answer["rc"], answer["err"] = done.returncode, done.stderr
            return answer

        ry.environ = environ  # type: ignore[attr-defined]
        yield ry
        ry("down", "--all", "--yes")


def _prepare(root: Path, conf_dir: Path, made: mini_cluster.MiniCluster | None) -> Yarn:
    home, tmp, mark = root / "home", root / "tmp", uuid.uuid4().hex
    home.mkdir(mode=0o700)
    tmp.mkdir(mode=0o700)
    known = record.load(conf_dir.resolve().parent)  # also when RAYYARN_TEST_HADOOP_CONF names a mini cluster
    kept = ("JAVA_HOME", "LANG", "TZ", "USER", "LOGNAME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    path = f"{conf_dir.parent / 'bin'}{os.pathsep}{os.environ['PATH']}" if known else os.environ["PATH"]
    environ = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(tmp),
        "PATH": path,
        "HADOOP_CONF_DIR": str(conf_dir),
        # The jars of the mini cluster are fetched once per person, not once per test run.
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        MARK: mark,
    }
    watch = Watch(
        mark=mark,
        folders=(root, *([known.shape.folder / "nodes"] if known else [])),
        home=home,
        tmp=tmp,
        mini=known.shape.folder if known else None,
        block=known.shape.block.prefix if known else None,
    )
    return Yarn(conf_dir, hadoop.find(conf_dir).rm_web[0], environ, watch, made)


@pytest.fixture(scope="session")
def prefix() -> Path:
    """A real conda environment with Ray and Spark and nothing of ours, built once per machine."""
    build = Path(__file__).parents[2] / "envs" / "build.py"
    done = subprocess.run([sys.executable, build, "test"], stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    return Path(done.stdout.strip())


@pytest.fixture
def ry(yarn: Yarn) -> Callable[..., Run]:
    """The ``rayyarn`` command as a program of its own: ``ry("status", "--json", timeout=30)``."""

    def run(*args: str | Path, env: dict[str, str] | None = None, timeout: float = 120.0) -> Run:
        program = Path(sys.executable).with_name("rayyarn")
        command = [str(program), *map(str, args)]
        try:
            done = subprocess.run(
                command, env={**yarn.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stderr or b"").decode(errors="replace") if isinstance(late.stderr, bytes) else late.stderr
            pytest.fail(f"{' '.join(command)} did not end within {timeout:.0f} s; it said:\n{said}")
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(autouse=True)
def no_leftovers(yarn: Yarn) -> Iterator[None]:
    """Fails a test after which more is there than before it: applications, processes, files, ports."""
    alive, before = yarn.live(), yarn.watch.started()
    yield
    forgotten = {key: text for key, text in yarn.live().items() if key not in alive}
    for application in forgotten:
        yarn.kill(application)
    left = [f"application: {text}" for text in forgotten.values()] + yarn.watch.settle(before)
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def own(yarn: Yarn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home for mini clusters that only this test has; whatever it leaves there is stopped."""
    home = yarn.watch.home.parent / "own"
    monkeypatch.setenv("RAYYARN_HOME", str(home))
    yield home
    for name in record.names():
        mini_cluster.down(name)
    shutil.rmtree(home, ignore_errors=True)
