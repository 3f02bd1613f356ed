"""The application document against golden ones. After a wanted change: REGOLD=1 pytest tests/unit/test_plan.py."""

import json
import os
import re
from pathlib import Path

import pytest

from rayyarn import plan
from rayyarn.placement import ANYWHERE, Placement
from rayyarn.plan import Secrets
from rayyarn.shipment import Shipment
from rayyarn.spec import ClusterSpec, HeadSpec, WorkerSpec

GOLDEN = Path(__file__).parent / "golden"
GIB = 1 << 30
RUNTIME = Shipment("runtime.zip", "hdfs://nn/user/me/.rayyarn/runtime/r-77.zip", "private", archive=False, paths=("",))
ENVIRONMENT = Shipment("environment", "hdfs://nn/user/me/.rayyarn/envs/9f31.tar.gz", "public", archive=True)
CODE = Shipment("code", "hdfs://nn/user/me/.rayyarn/code/c0de.tar.gz", "private", archive=True, paths=("a/src", "b"))
SPECS = {
    "plain": (ClusterSpec(name="demo"), (RUNTIME, ENVIRONMENT)),
    "everything": (
        ClusterSpec(
            name="nightly",
            queue="etl",
            head=HeadSpec(memory=4 * GIB, cpus=2, object_store=512 << 20),
            workers=8,
            worker=WorkerSpec(memory=16 * GIB + 1, cpus=4, gpus=1, object_store=4 * GIB),
            min_workers=6,
            env_vars={"PASSWORD": "hunter2"},
            code=("./src",),
        ),
        (CODE, RUNTIME, ENVIRONMENT),
    ),
    "beside": (ClusterSpec(name="beside", beside="etl", workers_per_host=2), (RUNTIME, ENVIRONMENT)),
    "kept": (ClusterSpec(name="kept", beside="etl", keep_beside=True, max_workers=2), (RUNTIME, ENVIRONMENT)),
    "labelled": (ClusterSpec(name="gpus", node_label="gpu", racks=("/r7",)), (RUNTIME, ENVIRONMENT)),
    "no-workers": (ClusterSpec(name="small", workers=0), (RUNTIME, ENVIRONMENT)),
}


PLACES = {
    "beside": Placement(("n1", "n3"), per_host=2, head_hosts=("n2",), beside="application_1_0007"),
    "kept": Placement(("n3",), head_hosts=("n1", "n2"), beside="application_1_0007", later=("n1", "n2")),
}


def build(name):
    spec, shipments = SPECS[name]
    secrets = Secrets("/home/me/token", "/home/me/variables.json" if spec.env_vars else None)
    return plan.build(spec, fingerprint="9f31", shipments=shipments, secrets=secrets, owner="me", launch="5f0d",
                      placement=PLACES.get(name, ANYWHERE), rm=("http://rm1:8088", "http://rm2:8088"))  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_the_document_is_the_golden_one(name):
    path = GOLDEN / f"{name}.json"
    text = json.dumps(build(name), indent=1) + "\n"
    if os.environ.get("REGOLD"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_no_secret_is_in_the_document_and_no_secret_file_in_the_masked_one(name):
    document = build(name)
    assert "hunter2" not in json.dumps(document)
    before = json.dumps(document)
    shown = json.dumps(plan.masked(document))
    assert "/home/me" not in shown
    assert '"source": "***"' in shown
    assert json.dumps(document) == before


def test_admins_may_look_and_no_more():
    spec, shipments = SPECS["plain"]
    made = plan.build(spec, fingerprint="9f31", shipments=shipments, secrets=Secrets("/t"), launch="5f0d",
                      owner="o'neil", admins=("hadoop", "o'neil"))  # fmt: skip
    assert made["acls"]["ui_users"] == ["o'neil", "hadoop"]
    assert made["acls"]["modify_users"] == ["o'neil"]
    script = made["services"]["head"]["script"]
    told = json.loads(re.search("RAYYARN_NODE='([^']*)'", script)[1])  # whatever a name is, it ends no quotes
    assert told["viewers"] == ["o'neil", "hadoop"]
    assert "viewers" not in made["services"]["worker"]["script"]


@pytest.mark.parametrize("name", SPECS)
def test_what_the_scripts_say(name):
    """YARN puts environment values between double quotes as they are, so nodes are told in the script, as JSON."""
    spec, shipments = SPECS[name]
    for title, service in build(name)["services"].items():
        role = title.rstrip("123")
        script = service["script"]
        told = json.loads(re.search(r"RAYYARN_NODE='([^']*)'", script)[1])
        assert told["role"] == role
        assert told["memory"] == (spec.head if role == "head" else spec.worker).memory
        assert ("wanted" in told) == (role == "head")
        assert script.strip().splitlines()[-1] == "exec environment/bin/python -m rayyarn.container.supervisor"
        paths = re.search(r'PYTHONPATH="([^"]*)"', script)[1].split(":")
        users = ["$PWD/code/a/src", "$PWD/code/b"] if CODE in shipments else []
        assert paths == [*users, "$PWD/runtime.zip"]


def test_a_container_is_never_smaller_than_asked_for():
    worker = build("everything")["services"]["worker"]["resources"]
    assert worker == {"memory": f"{16 * 1024 + 1} MiB", "vcores": 4, "gpus": 1}


def test_a_lost_worker_is_replaced_for_ever_and_a_lost_head_is_not():
    services = build("plain")["services"]
    assert (services["worker"]["max_restarts"], services["worker"]["allow_failures"]) == (-1, True)
    assert "max_restarts" not in services["head"]


def test_secrets_go_with_the_application():
    files = build("everything")["services"]["worker"]["files"]
    assert {files[alias]["visibility"] for alias in ("token", "variables.json")} == {"application"}
    assert "variables.json" not in build("plain")["services"]["worker"]["files"]


def test_without_a_waiting_up_there_is_no_lease():
    spec, shipments = SPECS["plain"]
    document = plan.build(
        spec, fingerprint="9f31", shipments=shipments, secrets=Secrets("/t"), owner="me", launch="5f0d", lease=False
    )
    assert '"lease": false' in document["services"]["head"]["script"]
    assert '"lease": true' in build("plain")["services"]["head"]["script"]
    assert "lease" not in build("plain")["services"]["worker"]["script"]


def test_skein_takes_the_document():
    skein = pytest.importorskip("skein")
    for name in SPECS:
        document = json.loads(json.dumps(build(name)))
        for service in document["services"].values():
            service["files"] = {}
        assert skein.ApplicationSpec.from_dict(document).name == f"rayyarn-{SPECS[name][0].name}"
