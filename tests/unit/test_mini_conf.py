from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from rayyarn import stage
from rayyarn.mini import conf, shims
from rayyarn.mini.address import NM_PORTS, Block, candidates


def shape(**changes):
    values = {
        "folder": Path("/home/me/.rayyarn/mini/default"),
        "block": Block("127.70.3"),
        "nodes": 2,
        "memory": 6 << 30,
        "cpus": 8,
        "hdfs": False,
        "user": "me",
        "jars": Path("/home/me/.cache/rayyarn/jars/0123"),
    }
    return conf.Shape(**{**values, **changes})


def properties(files, path):
    root = ElementTree.fromstring(files[path])
    return {entry.findtext("name"): entry.findtext("value") for entry in root.iter("property")}


def test_clients_and_containers_do_not_get_the_nodes_file_system():
    files = conf.files(shape())
    assert "rayyarn.mini" not in "".join(files[name] for name in files if name.startswith("conf/"))
    for node in ("conf-nm1", "conf-nm2"):
        assert (
            properties(files, f"{node}/core-site.xml")["fs.AbstractFileSystem.file.impl"] == "rayyarn.mini.FastLocalFs"
        )


def test_each_node_has_its_own_address_and_usual_ports():
    files = conf.files(shape(nodes=3))
    for index in range(3):
        site = properties(files, f"conf-nm{index + 1}/yarn-site.xml")
        host = f"127.70.3.{index + 2}"
        assert site["yarn.nodemanager.hostname"] == host
        listens = {
            value for key, value in site.items() if key.startswith("yarn.nodemanager.") and key.endswith("address")
        }
        assert listens == {f"{host}:{port}" for port in NM_PORTS}
        assert site["yarn.resourcemanager.hostname"] == "127.70.3.1"


def test_each_node_remembers_below_its_own_folder_what_it_has_unpacked():
    sites = [conf.node_site(shape(), index) for index in range(2)]
    assert {site["yarn.nodemanager.recovery.enabled"] for site in sites} == {"true"}
    folders = [site["yarn.nodemanager.recovery.dir"] for site in sites]
    assert folders == [f"{shape().node_folder(index)}/recovery" for index in range(2)]


def test_sizes_reach_scheduler_and_nodes_in_mebibytes():
    files = conf.files(shape(memory=(5 << 30) + 1, cpus=3))
    assert properties(files, "conf/yarn-site.xml")["yarn.scheduler.maximum-allocation-mb"] == "5120"
    assert properties(files, "conf-nm2/yarn-site.xml")["yarn.nodemanager.resource.memory-mb"] == "5120"
    assert properties(files, "conf-nm2/yarn-site.xml")["yarn.nodemanager.resource.cpu-vcores"] == "3"


def test_the_memory_checks_are_those_of_real_clusters():
    site = properties(conf.files(shape()), "conf-nm1/yarn-site.xml")
    assert site["yarn.nodemanager.pmem-check-enabled"] == "true"
    assert site["yarn.nodemanager.resource.memory.enforced"] == "false"  # else the check is never made
    assert site["yarn.nodemanager.vmem-check-enabled"] == "false"


def test_without_hdfs_the_default_file_system_is_a_view_of_one_folder():
    core = properties(conf.files(shape()), "conf/core-site.xml")
    assert core["fs.defaultFS"] == "viewfs://mini/"
    assert core["fs.viewfs.mounttable.mini.linkFallback"] == "file:///home/me/.rayyarn/mini/default/fs"


def test_folders_of_what_ray_and_spark_share_have_a_mount_point_except_in_the_shell():
    points = {
        f"fs.viewfs.mounttable.mini.link./user/me/.rayyarn/{kind}/.mount": f"file:///home/me/.rayyarn/mini/default/fs"
        f"/user/me/.rayyarn/{kind}/.mount"
        for kind in ("envs", "code")
    }
    assert points.items() <= properties(conf.files(shape()), "conf/core-site.xml").items()
    shell = properties(conf.files(shape()), "conf-shell/core-site.xml")
    assert sorted(key for key in shell if ".link" in key) == ["fs.viewfs.mounttable.mini.linkMergeSlash"]


@pytest.mark.parametrize("kind", conf.SHARED)
def test_those_folders_are_where_files_are_staged(kind):
    assert kind in stage.KINDS
    folder = stage.folder(SimpleNamespace(home="/user/me"), kind)
    assert f"fs.viewfs.mounttable.mini.link.{folder}/.mount" in conf.core_site(shape())


def test_with_hdfs_the_datanode_is_announced_by_its_own_address():
    files = conf.files(shape(hdfs=True))
    core, hdfs = properties(files, "conf/core-site.xml"), properties(files, "conf/hdfs-site.xml")
    assert core == {"fs.defaultFS": "hdfs://127.70.3.1:8020"}
    assert hdfs["dfs.datanode.hostname"] == "127.70.3.1"
    assert hdfs["dfs.client.use.datanode.hostname"] == "true"


def test_there_are_two_queues_which_share_everything():
    site = properties(conf.files(shape()), "conf-master/capacity-scheduler.xml")
    queues = site["yarn.scheduler.capacity.root.queues"].split(",")
    assert queues == ["default", "adhoc"]
    assert sum(int(site[f"yarn.scheduler.capacity.root.{queue}.capacity"]) for queue in queues) == 100


def test_values_are_escaped():
    assert "<value>a&amp;b&lt;c</value>" in conf._xml({"key": "a&b<c"})


def test_blocks_are_the_same_each_time_and_apart_for_users_and_names():
    first = list(candidates(1000, "default"))
    assert first == list(candidates(1000, "default"))
    assert len({block.prefix for block in first}) == len(first)
    assert first[0] not in (next(candidates(1001, "default")), next(candidates(1000, "other")))


def test_no_block_is_where_localhost_and_resolvers_are():
    for uid in range(200):
        for block in candidates(uid, "default"):
            assert 64 <= int(block.prefix.split(".")[1]) < 192


def test_the_endpoints_name_every_daemon():
    endpoints = Block("127.70.3").endpoints(2, hdfs=True)
    assert ("127.70.3.1", 8088) in endpoints
    assert ("127.70.3.1", 9870) in endpoints
    assert ("127.70.3.3", 8041) in endpoints
    assert len(endpoints) == len(set(endpoints)) == 5 + 5 + 2 * 4


def test_a_shim_knows_its_commands():
    text = shims.script("yarn", conf=Path("/c"), jars=Path("/j"), java=Path("/java"), flags=["-Xmx1m"])
    assert "app|application) class='org.apache.hadoop.yarn.client.cli.ApplicationCLI application' ;;" in text
    assert "{" not in text.replace("${", "")
