"""Ray's dashboard on a real YARN: through the ResourceManager's proxy, for whom, beside what, and what is left."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from test_kills import wait

from rayyarn.container import processes as container_processes
from rayyarn.container.dashboard import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run, Yarn

RAYYARN = Path(sys.executable).with_name("rayyarn")
ME = getpass.getuser()
# Where whoever wants Ray's state API, or its jobs, finds the dashboard.
KNOWN = """
import rayyarn
from ray._raylet import GcsClient
register = GcsClient(address=rayyarn.connect().connection.ray["address"])  # a program that joins would be a job
print(register.internal_kv_get(b"dashboard", b"dashboard"))
"""
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def cluster(yarn: Yarn, prefix: Path) -> Iterator[dict[str, Any]]:
    """A cluster with a head of the default size, and its dashboard; what that changed is in ``before`` and ``asked``.

    It is started here, since what a test starts and leaves there is a failure.
    """
    up = [RAYYARN, "up", "d", "--environment", prefix, "--workers", "1", "--worker-memory", "2 GiB"]
    subprocess.run([*up, "--worker-cpus", "1"], env=yarn.environ, check=True, timeout=300, capture_output=True)
    seen = subprocess.run([RAYYARN, "status", "d", "--json"], env=yarn.environ, check=True, capture_output=True)
    (found,) = json.loads(seen.stdout)["data"]["clusters"]
    found["before"], found["known_before"] = processes(), known(yarn)
    asked = subprocess.run([RAYYARN, "dashboard", "d", "--json"], env=yarn.environ, check=True, capture_output=True)
    yield {**found, "asked": json.loads(asked.stdout)["data"]}
    subprocess.run([RAYYARN, "down", "d"], env=yarn.environ, check=True, timeout=120, capture_output=True)
    assert processes() == {}


def known(yarn: Yarn) -> str:
    """The dashboard's address as a program of the cluster finds it."""
    command = [RAYYARN, "exec", "d", "--", "python", "-c", KNOWN]
    done = subprocess.run(command, env=yarn.environ, check=True, timeout=120, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def processes() -> dict[int, str]:
    """Whatever of the gate and of the pages runs: process ids and command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mine = b"RAYYARN_NAME=d\0" in (path.parent / "environ").read_bytes()
        except OSError:
            continue
        if mine and ("rayyarn.container.gate" in words or "--logging-filename=dashboard-pages" in words):
            found[int(path.parent.name)] = words
    return found


def ask(url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=b"{}" if method != "GET" else None)
    try:
        with _direct.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace"), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode(errors="replace"), dict(refused.headers)


def below(found: dict[str, Any], path: str, user: str = ME) -> str:
    base, _, _ = found["dashboard"].partition("?")
    return f"{base}{path}{'&' if '?' in path else '?'}user.name={user}"


def test_it_costs_nothing_before_somebody_looks(cluster: dict[str, Any], ry: Callable[..., Run]) -> None:
    assert cluster["dashboard"].endswith(f"/proxy/{cluster['application']}/pages/ray/?user.name={ME}")
    assert cluster["before"] == {}
    assert cluster["known_before"] == "b''"  # None would have Ray look for it for 40 s
    document = json.loads(Path(cluster["connection_file"]).read_text())
    assert document["ray"]["dashboard"] == cluster["dashboard"]
    assert cluster["dashboard"] in ry("status", "d").out


def test_it_is_started_and_shows_the_cluster_without_the_token(cluster: dict[str, Any], yarn: Yarn) -> None:
    assert cluster["asked"] == {"name": "d", "application": cluster["application"], "url": cluster["dashboard"]}
    assert re.fullmatch(r"b'[\d.]+:\d+'", known(yarn))
    token = (Path(cluster["connection_file"]).parent / connection(cluster)["secrets"]["token"]).read_text().strip()
    for path, words in {
        "": "<title>Ray Dashboard</title>",
        "api/version": '"ray_version"',
        "nodes?view=summary": '"summary"',
        "api/cluster_status": '"autoscalingStatus"',
        "api/jobs/": "[",
        "api/v0/tasks?detail=1&limit=10": '"result": true',
        "logical/actors": '"actors"',
    }.items():
        status, text, headers = ask(below(cluster, path))
        assert (status, words in text) == (200, True), (path, text[:300])
        assert token not in text + str(headers)
    page = ask(below(cluster, ""))[1]
    script = re.search(r'src="\./(static/js/[^"]+)"', page)
    assert script, page
    assert len(ask(below(cluster, script[1]))[1]) > 100_000
    assert all(token not in words for words in processes().values())
    if yarn.mini is not None:
        logs = [path for path in Path(yarn.mini.folder).glob("nodes/*/logs/**/*") if path.is_file()]
        assert any(path.name == "dashboard-pages.log" for path in logs)
        assert [path for path in logs if token.encode() in path.read_bytes()] == []


def connection(found: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(found["connection_file"]).read_text())
    return document


def test_it_takes_no_more_than_it_is_given(cluster: dict[str, Any]) -> None:
    pages = next(pid for pid, words in processes().items() if "--logging-filename=dashboard-pages" in words)
    used = container_processes.resident(container_processes.of_session(pages))
    print(f"{used >> 20} MiB", cluster["application"])
    assert 300 << 20 < used < KINDS[1][0]


def test_it_is_linked_on_the_applications_page(cluster: dict[str, Any]) -> None:
    status, page, _ = ask(cluster["dashboard"].replace("/pages/ray/", "/overview"))
    assert (status, '<a class="dropdown-item" href="./pages/ray/">Ray dashboard</a>' in page) == (200, True)


def test_nobody_else_is_let_in_and_nothing_can_be_done(cluster: dict[str, Any]) -> None:
    assert ask(below(cluster, "", user="bob"))[0] == 403
    assert ask(cluster["dashboard"].partition("?")[0])[0] == 403  # nobody at all
    for method in ("POST", "PUT", "DELETE"):
        assert ask(below(cluster, "api/jobs/"), method=method)[0] == 405
    assert json.loads(ask(below(cluster, "api/jobs/"))[1]) == []


def test_the_gate_itself_turns_strangers_away(cluster: dict[str, Any], yarn: Yarn) -> None:
    """Straight to its port, with what a process on the master's host could know or make up."""
    if yarn.mini is None:
        pytest.skip("the master's log is read from the mini cluster's folder")
    logs = Path(yarn.mini.folder).glob(f"nodes/*/logs/{cluster['application']}/*/application.master.log")
    target = re.findall(r"target: '(http://[^']+)'", "".join(path.read_text() for path in logs))[-1]
    mine, bob = {"Cookie": f"proxy-user={ME}"}, {"Cookie": "proxy-user=bob"}
    assert ask(target + "api/version", headers=mine)[0] == 200  # as the master asks
    assert ask(target + "api/version", headers=bob)[0] == 403
    assert ask(target + "api/version")[0] == 403
    assert ask(target + "api/jobs/", method="POST", headers=mine)[0] == 405
    port = f"http://{urlsplit(target).netloc}/"
    assert ask(port + "api/version", headers=mine)[0] == 403
    assert ask(port + "x" * 43 + "/api/version", headers=mine)[0] == 403
    parts = urlsplit(target)
    with socket.create_connection((parts.hostname, parts.port), 5, ("127.0.0.99", 0)) as link:  # type: ignore[arg-type]
        link.sendall(f"GET {parts.path}api/version HTTP/1.1\r\nHost: x\r\nCookie: proxy-user={ME}\r\n\r\n".encode())
        assert link.recv(100).startswith(b"HTTP/1.1 403 ")


def test_it_goes_for_a_job_and_the_head_stays(cluster: dict[str, Any], ry: Callable[..., Run]) -> None:
    assert ry("dashboard", "d").rc == 0
    job = ry("submit", "d", "--memory", "700 MiB", "--no-wait", "--", "python", "-c", "import time; time.sleep(20)")
    job_id = job.out.strip()

    def state() -> str:
        listed = ry("jobs", "d", "--json").data["jobs"]  # type: ignore[index]
        return str(next(one["state"] for one in listed if one["id"] == job_id))

    wait("the job runs", lambda: state() == "running", 20)
    refused = ry("dashboard", "d")
    assert refused.rc == 1
    assert "made room for a job" in refused.err
    assert ry("jobs", "d", "--stop", job_id).rc == 0
    assert ry("status", "d", "--json").data["clusters"][0]["state"] == "ready"  # type: ignore[index]
