import json
from dataclasses import replace

import pytest

from rayyarn.spec import SETTINGS, ClusterSpec, HeadSpec, WorkerSpec, name_problem

GIB = 1 << 30


def test_the_defaults_have_no_problem():
    assert ClusterSpec().problems() == []


@pytest.mark.parametrize("name", ["a", "nightly", "a-1", "a" * 39])
def test_good_names(name):
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a.b", "a/b", "a" * 40, "a\n", "nächtlich"])
def test_bad_names(name):
    assert name_problem(name)


def test_all_problems_are_told_at_once_each_with_its_origin():
    spec = ClusterSpec(
        name="Bad",
        head=HeadSpec(memory=1),
        workers=-1,
        worker=WorkerSpec(memory=1 << 20, cpus=-2, gpus=-1),
        min_workers=3,
        ready_timeout=0,
        env_vars={"1x": "", "RAY_AUTH_TOKEN": "", "PYTHONPATH": "", "RAYYARN_NAME": "", "FINE": ""},
    )
    problems = spec.problems({"name": "argument NAME", "worker.cpus": "rayyarn.yaml:7"})
    keys = [problem.split(":")[0] for problem in problems]
    assert keys == [
        "name", "workers", "worker.cpus", "worker.gpus", "min-workers", "ready-timeout", "head.memory", "worker.memory",
        "env-vars", "env-vars", "env-vars", "env-vars",
    ]  # fmt: skip
    assert problems[0].endswith("(argument NAME)")
    assert problems[2] == "worker.cpus: -2 is less than 0 (rayyarn.yaml:7)"
    assert "FINE" not in " ".join(problems)


def test_min_workers_may_be_anything_up_to_workers():
    assert ClusterSpec(workers=3, min_workers=0).problems() == []
    assert ClusterSpec(workers=3, min_workers=3).problems() == []
    assert ClusterSpec(workers=3, min_workers=4).problems() == ["min-workers: 4 is not between 0 and workers, 3"]


def test_an_object_store_that_leaves_nothing_is_a_problem():
    assert ClusterSpec(worker=WorkerSpec(memory=2 * GIB, object_store=2 * GIB)).problems()


FULL = ClusterSpec(
    name="nightly",
    environment="/envs/ml",
    queue="etl",
    head=HeadSpec(4 * GIB, 1, GIB),
    workers=8,
    worker=WorkerSpec(16 * GIB, 4, 1, 4 * GIB),
    min_workers=6,
    ready_timeout=60.0,
    env_vars={"PASSWORD": "hunter2"},
    code=("/src",),
)


def test_a_spec_survives_json():
    for spec in (ClusterSpec(), FULL):
        assert ClusterSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_spec_of_another_version_can_be_read():
    document = FULL.to_dict() | {"knitting": "x"}
    document["worker"] |= {"disks": 3}
    del document["queue"]
    assert ClusterSpec.from_dict(document) == replace(FULL, queue=None)


def test_masked_hides_the_values_and_keeps_the_names():
    text = json.dumps(FULL.masked())
    assert "hunter2" not in text
    assert "PASSWORD" in text


CHANGES = {
    "name": replace(FULL, name="x"),
    "environment": replace(FULL, environment="/elsewhere"),
    "queue": replace(FULL, queue="adhoc"),
    "head.memory": replace(FULL, head=replace(FULL.head, memory=5 * GIB)),
    "head.cpus": replace(FULL, head=replace(FULL.head, cpus=9)),
    "head.object-store": replace(FULL, head=replace(FULL.head, object_store=None)),
    "workers": replace(FULL, workers=9),
    "worker.memory": replace(FULL, worker=replace(FULL.worker, memory=5 * GIB)),
    "worker.cpus": replace(FULL, worker=replace(FULL.worker, cpus=9)),
    "worker.gpus": replace(FULL, worker=replace(FULL.worker, gpus=0)),
    "worker.object-store": replace(FULL, worker=replace(FULL.worker, object_store=None)),
    "min-workers": replace(FULL, min_workers=1),
    "ready-timeout": replace(FULL, ready_timeout=1.0),
    "idle-timeout": replace(FULL, idle_timeout=60.0),
    "max-lifetime": replace(FULL, max_lifetime=60.0),
    "env-vars": replace(FULL, env_vars={"PASSWORD": "hunter3"}),
    "code": replace(FULL, code=()),
    "files": replace(FULL, files=("hdfs:///a.yaml",)),
    "beside": replace(FULL, beside="etl"),
    "beside-or-anywhere": replace(FULL, beside_or_anywhere=True),
    "keep-beside": replace(FULL, keep_beside=True),
    "keep-beside-grace": replace(FULL, keep_beside_grace=60.0),
    "max-workers": replace(FULL, max_workers=20),
    "hosts": replace(FULL, hosts=("n1",)),
    "workers-per-host": replace(FULL, workers_per_host=2),
    "racks": replace(FULL, racks=("/r1",)),
    "node-label": replace(FULL, node_label="gpu"),
}
SAME = {"name", "environment", "beside", "min-workers", "ready-timeout"}


def test_every_setting_is_tried_below():
    assert CHANGES.keys() == SETTINGS.keys()


@pytest.mark.parametrize("key", CHANGES)
def test_digest_and_differences_agree_on_what_makes_another_cluster(key):
    other = replace(CHANGES[key], name=FULL.name)  # the name salts the digest
    found = other.differences(FULL)
    if key in SAME:
        assert found == []
        assert other.digest() == FULL.digest()
    else:
        assert [line.split(":")[0] for line in found] == [key]
        assert other.digest() != FULL.digest()


def test_differences_are_told_in_both_values():
    found = CHANGES["worker.memory"].differences(FULL)
    assert found == ["worker.memory: 5 GiB here, 16 GiB running"]


def test_differences_that_look_alike_are_told_exactly():
    here = ClusterSpec(worker=WorkerSpec(memory=(4300 << 20)))
    there = ClusterSpec(worker=WorkerSpec(memory=(4301 << 20)))
    assert here.differences(there) == [f"worker.memory: {4300 << 20} here, {4301 << 20} running"]


def test_differences_do_not_show_the_values_of_variables():
    found = CHANGES["env-vars"].differences(FULL)
    assert found == ["env-vars: PASSWORD differ"]


def test_a_setting_at_its_default_does_not_enter_the_digest():
    """Or a version with one setting more would take every running cluster for another one."""
    assert ClusterSpec(queue=None, workers=2).digest() == ClusterSpec().digest()
    assert ClusterSpec(workers=3).digest() != ClusterSpec().digest()


def test_every_setting_has_one_name_written_four_ways():
    setting = SETTINGS["worker.object-store"]
    assert setting.flag == "--worker-object-store"
    assert setting.variable == "RAYYARN_WORKER_OBJECT_STORE"
    assert setting.keyword == "worker_object_store"
    assert len({s.keyword for s in SETTINGS.values()}) == len(SETTINGS)


@pytest.mark.parametrize("key", SETTINGS)
def test_every_example_is_one(key):
    setting = SETTINGS[key]
    value = setting.read(setting.example)
    assert value != setting.default
    assert setting.help.endswith(".")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("workers", True), ("workers", "2.5"), ("workers", 2.5), ("worker.memory", False), ("queue", 3), ("queue", ""),
        ("env-vars", "NOEQUALS"), ("ready-timeout", "soon"), ("name", ["a"]),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused(key, value):
    with pytest.raises(ValueError, match=r"\w"):
        SETTINGS[key].read(value)


def test_a_secret_is_not_repeated_in_an_error():
    with pytest.raises(ValueError, match="no '='") as raised:
        SETTINGS["env-vars"].read(["TOKEN hunter2"])
    assert "hunter2" not in str(raised.value)
