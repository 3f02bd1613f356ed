"""The supervisor's side of the dashboard: real processes that play Ray's, and a master made of a dictionary."""

import socket

import pytest
from dashboard_head import GIB, MIB, Here
from supervised import Clock, Gcs, Master, Node

from rayyarn import store
from rayyarn.container import dashboard, processes, ray_hook, supervisor
from rayyarn.container.dashboard import KINDS
from rayyarn.container.dashboard_state import Board
from rayyarn.container.guests import Guests
from rayyarn.container.post import Post
from rayyarn.container.supervisor import Supervisor
from rayyarn.skein_am import MasterUnreachable


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(dashboard.processes, "resident", lambda: 700 * MIB)
    made = []

    def build(**given):
        made.append(Here(tmp_path, **given))
        return made[0]

    yield build
    for one in made:
        one.close()


def test_at_first_there_is_a_link_and_nothing_runs(make):
    here = make()
    here.look()
    here.look()
    ((route, target, title),) = here.master.pages
    assert (route, title) == (store.DASHBOARD_ROUTE, "Ray dashboard")
    assert here.made._key in target
    assert here.made._key.encode() not in b"".join(here.master.keys.values())  # skein shows the store to people
    assert store.DASHBOARD in here.master.keys
    assert here.made.pids == set()


def test_a_master_that_is_silent_is_asked_again(make):
    here = make()
    here.master.dead = True
    here.look()
    assert here.master.pages == []
    here.master.dead = False
    here.look()
    assert len(here.master.pages) == 1


def test_the_link_can_be_had_before_anything_else_and_is_made_once(make):
    here = make()
    here.made.link()
    assert store.DASHBOARD in here.master.keys
    here.look()
    assert len(here.master.pages) == 1


def test_a_connection_brings_the_gate_and_no_more(make):
    here = make()
    here.look()
    with socket.create_connection(here.made._listener.getsockname(), 5, ("127.0.0.9", 0)) as stranger:
        here.look()
        assert len(here.made.pids) == 1
        assert stranger.recv(100).startswith(b"HTTP/1.1 403 ")
    gate = here.made._gate
    assert here.look().state == "off"
    here.now += dashboard._IDLE + 1
    here.look()
    assert here.made.pids == set()
    assert not processes.lives(gate.pid)


def test_a_gate_that_dies_is_started_again_when_somebody_comes(make):
    here = make()
    here.look()
    address = here.made._listener.getsockname()
    with socket.create_connection(address):
        here.look()
    here.made._gate.kill()
    here.made._gate.wait()
    with socket.create_connection(address, 5, ("127.0.0.9", 0)) as stranger:
        here.look()
        assert here.made.pids == set()  # not in a hurry: it may die each time
        here.now += dashboard._GATE_AGAIN + 1
        here.look()
        assert stranger.recv(100).startswith(b"HTTP/1.1 403 ")


def test_who_wants_it_gets_all_of_it_on_a_port_of_the_systems_choice(make):
    here = make()
    told = here.on()
    socket.create_connection(("127.0.0.1", told.port)).close()
    words = (here.logs / "argv").read_text()
    assert "--port=0" in words
    assert "--modules-to-load" not in words
    assert "--disable-frontend" not in words
    assert f"--stdout-filepath={here.logs}/dashboard-pages.out" in words
    assert words.endswith("-1")  # no metrics for everybody
    assert here.jobs.lent == KINDS[0][0]
    assert here.jobs.free == 3 * GIB - KINDS[0][0]


def test_a_small_head_has_the_pages_that_matter(make):
    here = make(size=2 * GIB, room=957 * MIB)
    here.on()
    assert "--modules-to-load=JobHead,NodeHead,ReportHead,StateHead" in (here.logs / "argv").read_text()
    assert here.jobs.lent == KINDS[1][0]


def test_it_ends_with_its_children_when_nobody_looks_any_more(make, monkeypatch):
    here = make()
    here.on()
    session = here.made._pages.pid
    assert len(processes.of_session(session)) == 2
    monkeypatch.setattr(Board, "wanted", lambda self: dashboard._IDLE + 1)
    assert here.look().state == "off"
    assert processes.of_session(session) == []
    assert here.jobs.lent == 0


def test_a_head_without_room_says_so(make):
    here = make(size=1500 * MIB, room=500 * MIB)
    here.look()
    here.board.want()
    told = here.until("refused")
    assert told.why == (
        "Ray's dashboard takes 660 MiB of the head's container of 1.5 GiB, and 500 MiB are free beside Ray and its "
        "jobs: it needs a larger --head-memory, or fewer jobs at a time"
    )
    assert here.made._pages is None


def test_it_goes_when_the_container_is_nearly_full(make, monkeypatch):
    here = make()
    here.on()
    monkeypatch.setattr(dashboard.processes, "resident", lambda: int(3.7 * GIB))
    told = here.look()
    assert (told.state, "full" in told.why) == ("refused", True)
    here.board.want()
    here.now += dashboard._AGAIN + 1
    assert "are free beside" in here.look().why  # it does not come back into a full container


def test_it_makes_room_for_a_job(make):
    here = make(size=2 * GIB, room=957 * MIB)
    here.on()
    here.ask_for_job(700 * MIB)
    assert "made room for a job" in here.look().why
    assert (here.jobs.lent, here.made._pages) == (0, None)


def test_a_job_that_can_never_have_room_drives_nothing_away(make):
    here = make(size=2 * GIB, room=957 * MIB)
    here.on()
    here.ask_for_job(2 * GIB)
    assert here.look().state == "on"


def test_one_that_dies_is_told_of_and_tried_again_later(make):
    here = make()
    (here.logs / "broken").touch()
    here.look()
    here.board.want()
    assert "ended with 1" in here.until("refused").why
    assert here.jobs.lent == 0
    (here.logs / "broken").unlink()
    here.board.want()
    assert here.look().state == "refused"
    here.now += dashboard._AGAIN + 1
    here.until("on")


def test_one_that_hangs_is_given_up(make, monkeypatch):
    here = make()
    monkeypatch.setattr(dashboard.sockets, "loopback_port", lambda pid: None)
    here.look()
    here.board.want()
    here.until("starting")
    here.now += dashboard._START_LIMIT + 1
    here.board.want()
    assert "did not start within 90 s" in here.look().why


def test_a_refusal_that_nobody_asks_about_is_forgotten(make, monkeypatch):
    here = make(size=1500 * MIB, room=500 * MIB)
    here.look()
    here.board.want()
    here.until("refused")
    here.now += dashboard._AGAIN + 1
    monkeypatch.setattr(Board, "wanted", lambda self: 60.0)
    assert here.look().state == "off"


def test_an_environment_without_the_dashboards_packages(make):
    here = make(minimal=True)
    here.look()
    here.board.want()
    assert "ray[default]" in here.until("refused").why


def test_a_ray_that_would_start_no_such_process(make):
    here = make()
    (here.folder / ray_hook.DASHBOARD).unlink()
    here.look()
    here.board.want()
    assert "ray[default]" in here.until("refused").why


def test_whatever_goes_wrong_the_supervisor_goes_on(make, monkeypatch, caplog):
    here = make()

    def broken(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(dashboard.socket, "create_server", broken)
    here.look()
    assert "no space left on device" in caplog.text
    assert here.made.pids == set()


def test_the_masters_requests_come_from_its_host(monkeypatch):
    infos = [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in ("192.0.2.7", "192.0.2.8")]
    monkeypatch.setattr(dashboard.socket, "getaddrinfo", lambda *_: infos)
    assert dashboard._sources("m:7000", "10.0.0.1") == {"192.0.2.7", "192.0.2.8"}
    monkeypatch.setattr(dashboard.sockets, "is_here", lambda ip: ip == "192.0.2.8")
    monkeypatch.setattr(dashboard.sockets, "address_towards", lambda ip: f"own-{ip}")
    assert dashboard._sources("m:7000", "10.0.0.1") == {"192.0.2.7", "192.0.2.8", "own-10.0.0.1"}


class Looked:
    pids = frozenset({4242})

    def __init__(self, order, name):
        self.order, self.name = order, name

    def link(self):
        self.order.append(f"{self.name}'s link")

    def look(self):
        self.order.append(self.name)


def test_the_supervisor_looks_at_it_before_the_jobs_and_leaves_it_its_children(monkeypatch):
    """Its address is known before the cluster is; when it goes it makes room before a job is ended for want of it."""
    clock, master, order, spared = Clock(), Master(), [], []
    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(supervisor, "Gcs", Gcs)
    monkeypatch.setattr(supervisor.processes, "reap", lambda but=None: spared.append(but))
    state = store.NodeState("container_0", "head_0", "head", "n1", "10.0.0.1")
    head = Supervisor(Post(master, state, clock.monotonic), Node(clock, ()), "t" * 64, wanted={"workers": 1},
                      guests=Guests(Looked(order, "jobs"), Looked(order, "dashboard")))  # fmt: skip
    clock.events.append((clock.now + 5, lambda: master.keys.pop(store.ALIVE + "container_0")))
    assert head.run() == 0
    assert order[:5] == ["dashboard's link", "dashboard", "jobs", "dashboard", "jobs"]
    assert all(4242 in one for one in spared)


def test_a_master_that_knows_no_pages_is_no_end(make):
    here = make()

    def no_pages(*_):
        raise MasterUnreachable("UNIMPLEMENTED")

    here.master.add_page = no_pages
    here.look()
    assert store.DASHBOARD not in here.master.keys
