"""``rayyarn dashboard`` and the address in status and connection file, against a YARN made of dictionaries."""

import dataclasses
import json

import pytest

from rayyarn import cluster, connection, dashboard, store, web_link, yarn_report
from rayyarn.connection import local_path
from rayyarn.errors import ClusterNotFound, DashboardRefused, NotReady
from rayyarn.spec import ClusterSpec
from rayyarn.steps import SILENT


@pytest.fixture
def running(site, yarn, manager):
    """A cluster with a link on its page; ``manager.pages`` is what YARN's web proxy answers there."""
    manager.pages = []
    spec = ClusterSpec(name="demo", environment="/envs/ml", workers=1)
    yarn.tracking, yarn.linked = "http://elsewhere:1/proxy/{id}/", True
    cluster.up(spec)
    return "application_1_0001"


def told(state, why=""):
    return 200, json.dumps({"state": state, "why": why}).encode()


def test_the_address_is_where_yarn_answers_and_names_the_user(running, site, manager):
    (seen,) = cluster.status("demo").clusters
    url = f"{manager_url(manager)}/proxy/{running}/pages/ray/?user.name=me"
    assert seen.dashboard == url
    assert connection.read(local_path(site.yarn_id, "demo")).ray["dashboard"] == url


def manager_url(manager):
    return f"http://{manager.address}"


def test_a_web_proxy_apart_is_the_way(running, site, monkeypatch):
    properties = {**site.properties, "yarn.web-proxy.address": "proxy:9999"}
    apart = dataclasses.replace(site, properties=properties)
    monkeypatch.setattr("rayyarn.hadoop.find", lambda conf=None, environ=None: apart)
    (seen,) = cluster.status("demo").clusters
    assert seen.dashboard.startswith(f"http://proxy:9999/proxy/{running}/pages/ray/")


def test_a_cluster_of_before_has_none(running, yarn):
    del yarn.stores[running][store.DASHBOARD]
    assert cluster.status("demo").clusters[0].dashboard is None
    with pytest.raises(DashboardRefused, match="demo has no dashboard: it is ready"):
        dashboard.find("demo")


def test_it_is_waited_for_through_the_proxy(running, manager):
    manager.pages = [(404, b"not yet"), told("off"), (200, b"<html>"), told("starting"), told("on")]
    found = dashboard.find("demo")
    assert found.to_dict() == {"name": "demo", "application": running, "url": found.url}
    asked = [path for _, path in manager.asked if path.startswith("/proxy/")]
    assert asked == [f"/proxy/{running}/pages/ray/-/state?user.name=me"] * 5


def test_a_refusal_is_told_in_its_own_words(running, manager, ry):
    manager.pages = [told("starting"), told("refused", "no room beside the head")]
    done = ry("dashboard", "demo")
    assert done.rc == 1
    assert "error: no room beside the head" in done.err
    assert "rayyarn jobs demo" in done.err


def test_whom_the_proxy_does_not_let_in_is_told_so(running, manager):
    manager.pages = [(403, b"User is not authorized to access this page.")]
    with pytest.raises(DashboardRefused, match="does not let you see") as refused:
        dashboard.find("demo")
    assert "not authorized" in refused.value.log


def test_a_wait_has_an_end(running, manager, monkeypatch):
    monkeypatch.setattr(dashboard, "_LIMIT", 0.3)
    monkeypatch.setattr(dashboard, "_EVERY", 0.05)
    manager.pages = [told("starting")]
    with pytest.raises(NotReady, match="Ray's dashboard"):
        dashboard.find("demo", reporter=SILENT)


def test_a_proxy_that_is_not_there_is_named(running, monkeypatch):
    (seen,) = cluster.status("demo").clusters
    monkeypatch.setattr(cluster, "status", lambda *_, **__: cluster.StatusList((seen,)))
    link = web_link.connect("http://127.0.0.1:1", 1)
    monkeypatch.setattr(dashboard.web_link, "connect", lambda url, limit: link)
    with pytest.raises(DashboardRefused, match="does not answer from here"):
        dashboard.find("demo")


def test_no_cluster_no_dashboard(site):
    with pytest.raises(ClusterNotFound):
        dashboard.find("demo")


def test_the_command_prints_the_address_alone(running, manager, ry):
    manager.pages = [told("on")]
    done = ry("dashboard", "demo")
    assert (done.rc, done.out) == (0, f"{manager_url(manager)}/proxy/{running}/pages/ray/?user.name=me\n")
    assert json.loads(ry("dashboard", "demo", "--json").out)["data"]["application"] == running
    assert f"dashboard\t{done.out}" in ry("status", "demo").out


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("http://localhost:8088/proxy/a/", "https://rm2:8090/proxy/a/"),
        ("https://x/proxy/a/?b=c", "https://rm2:8090/proxy/a/?b=c"),
        ("N/A", ""),
        ("", ""),
    ],
)
def test_a_link_is_moved_to_an_address_that_works(url, moved):
    assert web_link.moved(url, "https://rm2:8090") == moved


def test_an_application_without_a_page_has_none():
    entry = {"id": "application_1_0001", "state": "ACCEPTED", "trackingUrl": "N/A"}
    assert yarn_report.read_app(entry, "http://rm:8088").page == ""
