"""What a supervisor reads from Ray's folder and log, without a Ray."""

import io
import json
import socket
import stat
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from rayyarn.container import processes, ray_hook, ray_node
from rayyarn.container.ray_node import RayNode, RayShare


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A node whose `ray start` is an object: ``code`` is its exit status, ``below`` its descendants."""
    one = SimpleNamespace(code=None, below={7: "raylet"}, prepared=[], commands=[], folder=tmp_path)
    one.log = tmp_path / "ray-start.log"

    class Told(io.BytesIO):
        """What a prepared `ray start` hears."""

        def write(self, line):
            one.commands.append(json.loads(line))

    def start(command, environ, log, *, told):
        one.prepared.append(command)
        return SimpleNamespace(pid=5, poll=lambda: one.code, stdin=Told())

    monkeypatch.setattr(processes, "start", start)
    monkeypatch.setattr(processes, "descendants", lambda pid=None: one.below)
    monkeypatch.setattr(processes, "lives", lambda pid: pid in one.below)
    monkeypatch.setattr(processes, "end_all", lambda grace: None)
    one.node = RayNode(tmp_path, one.log, "10.0.0.1", "container_1", RayShare(2, 0, 1 << 30, 1 << 28), {})
    yield one
    one.node.stop()


def options(command):
    return dict(pairwise(command))


def test_a_head_chooses_its_port_and_a_worker_joins(world):
    world.node.start(None)
    world.node.stop()
    world.node.start("10.0.0.9:6379")
    head, worker = world.commands
    assert "--head" in head
    assert options(head)["--port"] == "0"
    assert options(worker)["--address"] == "10.0.0.9:6379"
    told = options(worker)
    assert (told["--num-cpus"], told["--memory"], told["--object-store-memory"]) == ("2", str(1 << 30), str(1 << 28))
    assert told["--node-name"] == "container_1"
    assert told["--temp-dir"].startswith("/proc/")
    assert len(told["--temp-dir"] + "/session_2026-11-22_14-42-05_000000_123456/sockets/plasma_store.12") < 107
    assert options(head)["--temp-dir"] != told["--temp-dir"]  # a new try has a new folder


def test_each_try_is_told_ports_for_its_agents_that_nobody_else_gets(world):
    world.node.start("10.0.0.9:6379")
    first = agents(world.commands[0])
    assert len(set(first)) == 4
    for port in first:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.socket() as agent:  # as Ray's do
            agent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            agent.bind(("127.0.0.1", port))
            agent.listen()
    world.node.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", first[0]))
        other.listen()
        world.node.start("10.0.0.9:6379")
        assert first[0] not in agents(world.commands[1])


def agents(command):
    named = [word.partition("=") for word in command if "agent" in word or "metrics" in word]
    return [int(port) for name, _, port in named if name.endswith("-port")]


def test_a_worker_has_its_imports_behind_it_when_the_head_is_known(world):
    world.node.prepare()
    world.node.prepare()
    assert (len(world.prepared), world.commands) == (1, [])
    world.node.start("10.0.0.9:6379")
    assert (len(world.prepared), len(world.commands)) == (1, 1)


def test_before_and_after_its_life(world):
    assert world.node.failure() == "not started"
    world.node.start(None)
    assert world.node.failure() is None
    assert (world.folder / "r1").is_dir()
    world.node.stop()
    assert not (world.folder / "r1").exists()
    assert world.node.failure() == "not started"
    world.node.stop()


def test_registered_is_what_this_try_said(world):
    world.log.write_text("Ray runtime started.\n")  # of the try before
    world.node.start(None)
    assert not world.node.registered()
    with world.log.open("a") as log:
        log.write("...\nRay runtime started.\n")
    assert world.node.registered()


def test_a_ray_start_that_ended_says_why(world):
    world.node.start(None)
    world.log.write_text("usage\nModuleNotFoundError: No module named 'ray'\nbye\n")
    world.code = 1
    assert world.node.failure() == "ray start ended with 1: ModuleNotFoundError: No module named 'ray'"


def test_a_raylet_that_ended_is_a_failure_although_ray_start_blocks_on(world):
    world.node.start(None)
    world.log.write_text("Ray runtime started.\n")
    assert world.node.failure() is None
    world.below = {}
    assert world.node.failure() == "the raylet ended"


def test_a_start_that_takes_too_long(world, monkeypatch):
    world.node.start(None)
    world.log.write_text("waiting\n")
    monkeypatch.setattr(ray_node, "START_LIMIT", -1)
    assert world.node.failure() == "Ray did not start within -1 s: waiting"


def test_the_raylets_own_words_count_too(world):
    world.node.start(None)
    logs = world.folder / "r1" / "session_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("[x] Check failed: no space\n")
    world.log.write_text("Some processes have died\n")
    assert world.node.last_words() == "[x] Check failed: no space"


def test_what_an_earlier_try_said_is_not_this_ones(world):
    """YARN's log folder outlives Ray's own."""
    kept = world.folder / "raylet.out"
    kept.write_text("[x] Check failed: of the first try\n")
    world.node.start(None)
    assert world.node.last_words() == "it said nothing"
    with kept.open("a") as log:
        log.write("[x] Check failed: of the second\n")
    assert world.node.last_words() == "[x] Check failed: of the second"
    kept.write_text("[x] Check failed: 3\n")  # rotated
    assert world.node.last_words() == "[x] Check failed: 3"


def test_the_port_is_read_from_the_session_itself(world):
    world.node.start(None)
    session = world.folder / "r1" / "session_1"
    session.mkdir()
    (world.folder / "r1" / "session_latest").symlink_to(session)
    assert world.node.gcs_port() is None
    (session / "gcs_server_port_abc").write_text("")
    assert world.node.gcs_port() is None
    (session / "gcs_server_port_abc").write_text("41234\n")
    assert world.node.gcs_port() == 41234


@pytest.fixture
def rays_node(monkeypatch):
    """A class like Ray's ``Node``, where the hook finds it, that writes down what it starts."""

    class Node:
        node_id = "abc"

        def __init__(self, head=False):
            self.started, self.told = [], {}
            if head:
                self.start_monitor()
                self.start_api_server(include_dashboard=False, raise_on_failure=False)
            self.start_log_monitor()
            self.start_raylet("/tmp/plasma", use_valgrind=False)

        def start_raylet(self, plasma, *, use_valgrind):
            agent = "--dashboard_agent_command=/env/bin/python -u /env/lib/ray/dashboard/agent.py --node-id=1"
            self.raylet = services.start_ray_process(["raylet", agent, "--head"], "raylet", fate_share=True)
            self.started.append("raylet")

        def get_session_dir_path(self):
            return "/session"

        def start_monitor(self):
            self.started.append("monitor")

        def start_log_monitor(self):
            self.started.append("log monitor")

        def get_gcs_client(self):
            return SimpleNamespace(internal_kv_put=lambda key, value, *_: self.told.update({key: value}))

        def start_api_server(self, *, include_dashboard, raise_on_failure):
            try:
                services.start_ray_process(["python", "dashboard.py", "--port=8265"], "dashboard", fate_share=True)
            except Exception:
                self.started.append("an error")
            else:
                self.started.append("dashboard")

    services = SimpleNamespace(start_ray_process=lambda command, *_, **__: command)
    constants = SimpleNamespace(DASHBOARD_ADDRESS="dashboard", KV_NAMESPACE_DASHBOARD=b"dashboard")
    for name in ("ray", "ray._private", "ray._private.node"):
        whole = SimpleNamespace(Node=Node, services=services, ray_constants=constants)
        monkeypatch.setitem(sys.modules, name, whole)
    return Node


def parameters(**more):
    return SimpleNamespace(
        **{"ray_client_server_port": 10001, "include_dashboard": False, "dashboard_agent_listen_port": 4321, **more}
    )


@pytest.mark.parametrize(
    ("dashboard", "started"),
    [(False, ["raylet", "monitor", "log monitor"]), (None, ["dashboard", "raylet", "monitor", "log monitor"])],
)
def test_the_hook_puts_off_what_nobody_waits_for(dashboard, started, rays_node, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ray_hook.prepare(parameters(include_dashboard=dashboard), True)
    head = rays_node(head=True)
    assert head.started == started
    assert head.told == ({b"dashboard": b""} if dashboard is False else {})  # where its address would be
    assert rays_node().started == ["raylet", "log monitor"]
    noted = tmp_path / ray_hook.DASHBOARD
    words = ["python", "dashboard.py", "--port=8265"]
    assert dashboard is None or json.loads(noted.read_text()) == words
    assert noted.exists() is (dashboard is False)


@pytest.mark.parametrize("waits", [True, False])
def test_the_hook_writes_down_where_the_agent_will_listen_before_the_raylet_looks(waits, rays_node, monkeypatch):
    written = []
    module = SimpleNamespace(persist_port=lambda *words: written.append(words), DASHBOARD_AGENT_LISTEN_PORT_NAME="port")
    monkeypatch.setitem(sys.modules, "ray._raylet", module if waits else SimpleNamespace())  # an older Ray's
    ray_hook.prepare(parameters(), False)
    node = rays_node()
    assert node.started == ["raylet", "log monitor"]
    assert node.raylet[1].endswith(
        "python -u -m rayyarn.container.ray_agent /env/lib/ray/dashboard/agent.py --node-id=1"
    )
    assert (node.raylet[0], node.raylet[2]) == ("raylet", "--head")
    assert written == ([("/session", "abc", "port", 4321)] if waits else [])


@pytest.mark.usefixtures("rays_node")
@pytest.mark.parametrize("head", [True, False])
def test_the_hook_turns_ray_client_off_on_the_head(head):
    params = parameters()
    ray_hook.prepare(params, head)
    assert params.ray_client_server_port == (None if head else 10001)


@pytest.mark.usefixtures("rays_node")
@pytest.mark.parametrize("head", [True, False])
def test_the_hook_has_ray_write_its_logs_where_yarn_keeps_them(head, tmp_path, monkeypatch):
    kept = tmp_path / "container_1"
    kept.mkdir(mode=0o710)
    monkeypatch.setenv(ray_hook.LOGS, str(kept))
    monkeypatch.setenv("SKEIN_APPLICATION_ID", "application_1795_0007")
    params = parameters(temp_dir=str(tmp_path / "r1"), session_name=None)
    ray_hook.prepare(params, head)
    ray_hook.prepare(params, head)  # a second time finds it all
    session = tmp_path / "r1" / "session_1795_0007"
    assert params.session_name == session.name
    (session / "logs" / "raylet.out").write_text("x")
    assert [path.name for path in kept.iterdir()] == ["raylet.out"]
    assert stat.S_IMODE(session.stat().st_mode) == 0o700


def test_a_folder_of_logs_that_ray_has_opened_is_closed_again(world):
    mode = stat.S_IMODE(world.folder.stat().st_mode)
    world.node.keep_closed()
    world.folder.chmod(0o777)
    world.node.keep_closed()
    assert stat.S_IMODE(world.folder.stat().st_mode) == mode != 0o777
