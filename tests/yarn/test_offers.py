"""Racks, node labels and GPUs, on a real YARN that offers them. The GPUs are numbers: YARN counts what it is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import on_own_mini

from rayyarn.mini import conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Yarn

GPU = "yarn.io/gpu"
EMPTY = "<configuration>\n</configuration>\n"
QUEUE = "yarn.scheduler.capacity.root"
PROGRAM = """
import json, os, ray
ray.init(log_to_driver=False, logging_level="ERROR")

@ray.remote(num_gpus=1)
def seen():
    return os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CONTAINER_ID"]

print(json.dumps([ray.cluster_resources()["GPU"], ray.get(seen.remote())]))
"""
SIZES = ["--workers", "1", "--worker-memory", "1 GiB", "--worker-cpus", "1", "--head-memory", "1 GiB"]


def with_offers(files: Callable[[conf.Shape], dict[str, str]]) -> Callable[[conf.Shape], dict[str, str]]:
    """The configuration of a mini cluster whose second node is on a rack of its own, and has two GPUs."""

    def made(shape: conf.Shape) -> dict[str, str]:
        first, second = (shape.block.node(index) for index in (0, 1))
        more = {
            "core-site.xml": {
                "net.topology.node.switch.mapping.impl": "org.apache.hadoop.net.TableMapping",
                "net.topology.table.file.name": f"{shape.folder}/conf/racks.txt",
            },
            "yarn-site.xml": {
                "yarn.node-labels.enabled": "true",
                "yarn.node-labels.fs-store.root-dir": f"file://{shape.folder}/labels",
            },
            "capacity-scheduler.xml": {
                f"{QUEUE}.accessible-node-labels.fast.capacity": "100",
                f"{QUEUE}.default.accessible-node-labels": "fast",
                f"{QUEUE}.default.accessible-node-labels.fast.capacity": "100",
                f"{QUEUE}.adhoc.accessible-node-labels": "fast",
                f"{QUEUE}.adhoc.accessible-node-labels.fast.capacity": "0",
            },
        }
        found = {path: added(text, more.get(Path(path).name, {})) for path, text in files(shape).items()}
        for folder in ("conf", "conf-master", "conf-nm1", "conf-nm2"):
            found[f"{folder}/resource-types.xml"] = added(EMPTY, {"yarn.resource-types": GPU})
        found["conf-nm2/node-resources.xml"] = added(EMPTY, {f"yarn.nodemanager.resource-type.{GPU}": "2"})
        found["conf/racks.txt"] = f"{first} /dc/r1\n{second} /dc/r2\n"
        return found

    return made


def added(text: str, properties: dict[str, str]) -> str:
    """``text``, a Hadoop configuration, with more properties."""
    more = "".join(
        f"<property><name>{key}</name><value>{value}</value></property>\n" for key, value in properties.items()
    )
    return text.replace("</configuration>", f"{more}</configuration>")


@pytest.fixture(scope="module")
def offers(yarn: Yarn, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A command line on such a YARN, with an environment chosen; ``hosts`` of the function are its two nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conf, "files", with_offers(conf.files))
        with on_own_mini(yarn, prefix, tmp_path_factory.mktemp("offers"), nodes=2, memory="5GiB") as ry:
            known = Path(ry.environ["HADOOP_CONF_DIR"], "racks.txt").read_text().splitlines()
            ry.hosts = [line.split()[0] for line in known]  # type: ignore[attr-defined]
            yield ry


def refusal(offers: Any, *words: str) -> tuple[int, str, str]:
    answer = offers("up", "no", *SIZES, *words)
    assert offers("status")["data"]["clusters"] == []
    return answer["rc"], answer["errors"][0]["code"], answer["errors"][0]["message"]


def hosts(offers: Any, name: str, role: str) -> set[str]:
    (one,) = offers("status", name)["data"]["clusters"]
    return {node["host"] for node in one["nodes"] if node["role"] == role}


def test_workers_with_gpus_go_where_they_are(offers: Any) -> None:
    up = offers("up", "gpus", *SIZES, "--worker-gpus", "2")
    assert up["rc"] == 0, up["err"]
    assert hosts(offers, "gpus", "worker") == {offers.hosts[1]}
    done = subprocess.run(
        [Path(sys.executable).with_name("rayyarn"), "exec", "gpus", "--", "python", "-c", PROGRAM],
        env=offers.environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (count, (devices, container)) = json.loads(done.stdout.splitlines()[-1])
    assert (count, re.fullmatch("[01]", devices) is not None) == (2, True)
    (one,) = offers("status", "gpus")["data"]["clusters"]
    assert container == next(node["container"] for node in one["nodes"] if node["role"] == "worker")
    assert offers("down", "gpus")["rc"] == 0
    assert refusal(offers, "--worker-gpus", "3") == (
        1, "request_too_large", "worker.gpus: 3 asked, and the most that a node offers is 2"
    )  # fmt: skip


def test_workers_go_to_the_rack_that_is_named(offers: Any) -> None:
    up = offers("up", "rack", *SIZES, "--racks", "/dc/r1")
    assert up["rc"] == 0, up["err"]
    assert hosts(offers, "rack", "worker") == {offers.hosts[0]}
    assert offers("down", "rack")["rc"] == 0
    assert refusal(offers, "--racks", "/dc/r3") == (
        1, "hosts_unusable", "no running node on rack /dc/r3; racks: /dc/r1, /dc/r2"
    )  # fmt: skip


def test_head_and_workers_go_to_the_nodes_of_a_label(offers: Any) -> None:
    assert refusal(offers, "--node-label", "fast") == (
        1, "hosts_unusable", "no running node has the label 'fast'; labels in use: none"
    )  # fmt: skip
    for words in (
        ["-addToClusterNodeLabels", "fast(exclusive=true)"],
        ["-replaceLabelsOnNode", f"{offers.hosts[0]}=fast"],
    ):
        done = subprocess.run(
            ["yarn", "rmadmin", *words], env=offers.environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
    up = offers("up", "label", *SIZES, "--node-label", "fast")
    assert up["rc"] == 0, up["err"]
    assert hosts(offers, "label", "worker") | hosts(offers, "label", "head") == {offers.hosts[0]}
    assert offers("down", "label")["rc"] == 0
    assert refusal(offers, "--node-label", "slow") == (
        1, "hosts_unusable", "no running node has the label 'slow'; labels in use: fast"
    )  # fmt: skip
