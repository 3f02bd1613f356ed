import pytest
from yarn import Driver, Manager, Master, Yarn

from rayyarn import access, archives, hadoop, launch, shipment, waiting
from rayyarn.archives import ShippedEnvironment, ShippedLayer
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


def make_site(folder, *addresses):
    properties = {
        "fs.defaultFS": "viewfs://mini/",
        "fs.viewfs.mounttable.mini.linkFallback": f"file://{folder}/fs",
        "yarn.resourcemanager.cluster-id": "test",
        "yarn.resourcemanager.webapp.address": addresses[0],
    }
    if len(addresses) > 1:
        properties |= {"yarn.resourcemanager.ha.enabled": "true",
                       "yarn.resourcemanager.ha.rm-ids": ",".join(f"rm{n}" for n in range(len(addresses)))}  # fmt: skip
        properties |= {f"yarn.resourcemanager.webapp.address.rm{n}": one for n, one in enumerate(addresses)}
    return hadoop.Hadoop(folder, "HADOOP_CONF_DIR", properties, {"HADOOP_USER_NAME": "me"})


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
