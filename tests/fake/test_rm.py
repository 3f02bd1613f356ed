"""The REST client against a ResourceManager that stands by, refuses, babbles, dawdles, or is not there."""

import socket

import pytest
from sites import make_site
from yarn import Manager

from rayyarn import rm as rest
from rayyarn.errors import YarnRefused, YarnUnreachable
from rayyarn.rm import ResourceManager, RestClosed


@pytest.fixture
def two(yarn, tmp_path):
    """Two ResourceManagers of one site, and its client."""
    managers = Manager(yarn), Manager(yarn)
    yield *managers, ResourceManager(make_site(tmp_path, *(one.address for one in managers)))
    for one in managers:
        one.close()


def nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("mood", ["standby", "redirect"])
def test_a_standby_sends_us_to_the_other_and_is_asked_once(two, mood):
    first, second, rm = two
    first.mood = mood
    assert rm.apps() == []
    assert [node.host for node in rm.nodes()] == ["n1"]
    assert (len(first.asked), len(second.asked)) == (1, 2)


def test_after_a_failover_the_other_is_found_again(two):
    first, second, rm = two
    rm.apps()
    first.mood = "standby"
    rm.apps()
    first.mood, second.mood = "ok", "standby"
    assert rm.apps() == []


def test_nobody_answers(tmp_path):
    address = nobody()
    with pytest.raises(YarnUnreachable) as caught:
        ResourceManager(make_site(tmp_path, address)).apps()
    assert f"http://{address}: " in caught.value.message
    assert "Connection refused" in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"curl -s http://{address}/ws/v1/cluster/info")


def test_one_that_is_down_and_one_that_stands_by_are_both_named(two, tmp_path):
    first, _, _ = two
    first.mood = "standby"
    with pytest.raises(YarnUnreachable, match=r"refused.*; http://[0-9.:]*: standby"):
        ResourceManager(make_site(tmp_path, nobody(), first.address)).apps()


def test_a_slow_one_is_as_good_as_down(manager, tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "_ANSWER_LIMIT", 0.2)
    manager.mood = "slow"
    with pytest.raises(YarnUnreachable, match="timed out"):
        ResourceManager(make_site(tmp_path, manager.address)).apps()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_closed_door_is_told_apart_from_a_refusal(manager, tmp_path, status):
    manager.mood = status
    with pytest.raises(RestClosed) as caught:
        ResourceManager(make_site(tmp_path, manager.address)).nodes()
    assert caught.value.log == "not for you"


def test_a_refusal_is_one(manager, tmp_path):
    manager.mood = 500
    with pytest.raises(YarnRefused, match="YARN answered 500 to GET nodes") as caught:
        ResourceManager(make_site(tmp_path, manager.address)).nodes()
    assert not isinstance(caught.value, RestClosed)


def test_a_login_page_is_not_an_answer(manager, tmp_path):
    manager.mood = "garbage"
    with pytest.raises(YarnUnreachable, match="not JSON") as caught:
        ResourceManager(make_site(tmp_path, manager.address)).apps()
    assert caught.value.log == "<html>login please</html>"


def test_a_web_proxy_of_the_site_is_not_used(manager, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{nobody()}")
    assert len(ResourceManager(make_site(tmp_path, manager.address)).nodes()) == 1


def test_an_application_that_yarn_forgot_is_none(manager, tmp_path):
    assert ResourceManager(make_site(tmp_path, manager.address)).app("application_1_0001") is None


def test_the_user_is_named_and_filters_are_checked_again(manager, yarn, tmp_path):
    document = {"name": "rayyarn-a", "tags": ["rayyarn", "rayyarn-ab"], "services": {"worker": {"instances": 0}}}
    yarn.submit(document)
    rm = ResourceManager(make_site(tmp_path, manager.address))
    assert [app.id for app in rm.apps(tag="rayyarn")] == ["application_1_0001"]
    assert rm.apps(tag="rayyarn-a") == []  # a router that matches parts of tags
    assert rm.apps(user="somebody") == []
    assert "user.name=me" in manager.asked[0][1]


def test_a_kill_is_asked_for_and_a_single_container_is_a_list(manager, yarn, tmp_path):
    yarn.submit({"name": "x", "tags": [], "services": {"worker": {"instances": 0}}})
    rm = ResourceManager(make_site(tmp_path, manager.address))
    app = rm.app("application_1_0001")
    assert app is not None
    assert rm.containers(app) == [{"containerId": "container_1"}]
    rm.kill(app.id)
    after = rm.app(app.id)
    assert after is not None
    assert (after.state, after.live, after.am) == ("KILLED", False, None)
