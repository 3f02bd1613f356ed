import dataclasses
import resource
import signal
import sys
from types import ModuleType, SimpleNamespace

import pytest
from doctors_edge import Edge
from rayyarn_cli import main
from sites import make_site
from supervised import Clock, Gcs
from yarn import Driver, Manager, Master, Yarn

from rayyarn import access, archives, hadoop, launch, shipment, waiting
from rayyarn.archives import ShippedEnvironment, ShippedLayer
from rayyarn.container import supervisor
from rayyarn.environment import Environment
from rayyarn.fingerprint import Fingerprint
from rayyarn.stage import Staged

ENVIRONMENT = "9f31c0a2" * 2


def staged(name):
    return Staged(f"viewfs://mini/user/me/{name}", f"/user/me/{name}", 1, 1000, "private")


@pytest.fixture
def yarn(monkeypatch):
    world = Yarn()
    monkeypatch.setattr(Driver, "yarn", world, raising=False)
    monkeypatch.setattr(Master, "yarn", world, raising=False)
    monkeypatch.setattr(launch, "Driver", Driver)
    for module in (access, waiting):
        monkeypatch.setattr(module, "AppMaster", Master)
    return world


@pytest.fixture
def manager(yarn):
    made = Manager(yarn)
    yield made
    made.close()


@pytest.fixture
def site(manager, tmp_path, monkeypatch):
    """An edge node beside that YARN, with a file system in a folder and an environment that is staged already."""
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAYYARN_CONNECTION", raising=False)
    monkeypatch.delenv("RAYYARN_NAME", raising=False)
    monkeypatch.delenv("CONTAINER_ID", raising=False)
    (tmp_path / "fs" / "user" / "me").mkdir(parents=True)
    found = make_site(tmp_path, manager.address)
    monkeypatch.setattr(hadoop, "find", lambda conf=None, environ=None: found)
    environment = Environment("prefix", "/envs/ml", python="3.11", ray="2.60")
    fingerprint = Fingerprint(ENVIRONMENT)
    runtime = ShippedLayer(Fingerprint("0" * 16), staged("runtime.zip"), ("",))
    shipped = ShippedEnvironment(environment, fingerprint, staged("env.tar.gz"), (), runtime)

    def ship(*_, **__):
        manager.yarn.at("environment")
        return shipped

    monkeypatch.setattr(archives, "environment", ship)
    monkeypatch.setattr(shipment, "identify", lambda *_, **__: (environment, fingerprint))
    return found


@pytest.fixture
def library(monkeypatch, tmp_path):
    """``rayyarn.cluster`` and ``rayyarn.program`` that remember the call and return or raise what a test sets."""
    seen = SimpleNamespace(calls=[], answer=None)

    def answers(name):
        def call(*args, **kwargs):
            seen.calls.append((name, args, kwargs))
            if isinstance(seen.answer, BaseException):
                raise seen.answer
            return seen.answer(**kwargs) if callable(seen.answer) else seen.answer

        return call

    import rayyarn

    for module, names in {"cluster": ("up", "down", "status"), "program": ("run",)}.items():
        fake = ModuleType(f"rayyarn.{module}")
        for name in names:
            setattr(fake, name, answers(name))
        monkeypatch.setitem(sys.modules, f"rayyarn.{module}", fake)
        monkeypatch.setattr(rayyarn, module, fake, raising=False)
    for variable in ("NO_COLOR", "FORCE_COLOR", "RAYYARN_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return seen


@pytest.fixture
def ry(capsys):
    """Run a command line in this process: its exit code and both streams."""
    kept = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*argv):
        code = main.run(list(argv))
        out, err = capsys.readouterr()
        return SimpleNamespace(rc=code, out=out, err=err)

    yield run
    for signum, handler in kept.items():
        signal.signal(signum, handler)


@pytest.fixture
def edge(manager, site, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "yarn").touch(0o755)
    made = Edge(manager, site, tmp_path, monkeypatch)
    made.use(dataclasses.replace(site, environ={**site.environ, "PATH": str(tools)}))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, resource.RLIM_INFINITY))
    return made


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(supervisor, "time", made)
    monkeypatch.setattr(supervisor, "Gcs", Gcs)
    monkeypatch.setattr(supervisor.processes, "reap", lambda but=None: None)
    return made
