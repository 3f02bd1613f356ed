"""The gate of the dashboard with real sockets: who is let in, what gets through, and what when Ray's side is dead."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rayyarn.container import gate, sockets
from rayyarn.container.dashboard_state import Board, DashboardState
from rayyarn.container.gate import Gate, Rights

TOKEN, KEY = "t" * 64, "k" * 43
OWNER = {"Cookie": "proxy-user=me"}


class Ray(BaseHTTPRequestHandler):
    """A dashboard that wants the token and gives it away to whoever logs in, as Ray's does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        if self.path == "/slow":
            time.sleep(30)
        if self.path == "/dies":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        right = self.headers.get("X-Ray-Authorization") == f"Bearer {TOKEN}"
        text = b"hello" * 40000
        self.send_response(200 if right else 401)
        self.send_header("Content-Type", "text/x-ray")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Set-Cookie", f"ray-authentication-token={TOKEN}")
        self.send_header("X-Echo", TOKEN)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_HEAD = do_GET  # noqa: N815 - their names

    def log_message(self, *_):
        pass


def serve(server):
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def ray():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ray)
    server.daemon_threads, server.block_on_close, server.asked = True, False, []
    serve(server)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def door(tmp_path, ray):
    """The gate, with a dashboard behind it that is on."""
    board = Board(tmp_path)
    board.tell(DashboardState("on", ray.server_port))
    listener = socket.create_server(("127.0.0.1", 0))
    made = Gate(listener, Rights(frozenset({"127.0.0.1"}), KEY, frozenset({"me", "root"})), TOKEN, board)
    serve(made)
    yield made
    made.shutdown()
    made.server_close()


def ask(door, path, headers=OWNER, *, method="GET", source="127.0.0.1"):
    link = http.client.HTTPConnection("127.0.0.1", door.socket.getsockname()[1], timeout=10, source_address=(source, 0))
    with contextlib.closing(link):
        link.request(method, path, headers=headers)
        answer = link.getresponse()
        text = answer.read()
        assert TOKEN.encode() not in text
        assert TOKEN not in str(answer.getheaders())
        return answer, text.decode()


def test_the_owner_sees_the_pages_and_never_the_token(door, ray):
    answer, text = ask(door, f"/{KEY}//nodes?view=summary&x=%7B1%7D")
    assert (answer.status, text) == (200, "hello" * 40000)
    assert answer.getheader("Content-Type") == "text/x-ray"
    assert answer.getheader("Set-Cookie") is None
    ((method, path, headers),) = ray.asked
    assert (method, path) == ("GET", "/nodes?view=summary&x=%7B1%7D")
    assert headers["X-Ray-Authorization"] == f"Bearer {TOKEN}"
    assert "Cookie" not in headers


def test_an_admin_is_let_in_and_head_has_no_body(door):
    assert ask(door, f"/{KEY}/", {"Cookie": "a=b; proxy-user=root"})[0].status == 200
    answer, text = ask(door, f"/{KEY}/", method="HEAD")
    assert (answer.status, text) == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "proxy-user=bob"},
        {"Cookie": "proxy-user=me; proxy-user=bob"},
        {"Cookie": "proxy-user="},
        {"Cookie": "other=me"},
        {"X-Forwarded-User": "me"},
        {"Authorization": f"Bearer {'x' * 64}", "Cookie": "proxy-user=ME"},
    ],
)
def test_another_user_is_refused(door, ray, headers):
    assert ask(door, f"/{KEY}/nodes", headers)[0].status == 403
    assert ray.asked == []


@pytest.mark.parametrize("path", ["/", "/nodes", f"/{KEY[:-1]}/nodes", f"/{KEY}x/nodes", f"/nodes?{KEY}", f"/x/{KEY}/"])
def test_without_the_key_there_is_no_way_in(door, ray, path):
    assert ask(door, path)[0].status == 403
    assert ray.asked == []


def test_another_host_is_refused_with_key_and_name(door, ray):
    assert ask(door, f"/{KEY}/nodes", source="127.0.0.9")[0].status == 403
    assert ray.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_nothing_can_be_done_through_it(door, ray, method):
    assert ask(door, f"/{KEY}/api/jobs/", method=method)[0].status == 405
    assert ask(door, f"/{KEY}/api/jobs/", {}, method=method)[0].status == 403
    assert ray.asked == []


def test_a_web_socket_is_refused(door, ray):
    upgrade = {**OWNER, "Connection": "Upgrade", "Upgrade": "websocket"}
    assert ask(door, f"/{KEY}/api/jobs/1/logs/tail", upgrade)[0].status == 501
    assert ray.asked == []


def test_a_dashboard_that_is_off_is_wanted_from_now_on(door, ray):
    door.board.tell(DashboardState())
    assert door.board.wanted() == float("inf")
    answer, text = ask(door, f"/{KEY}/", {**OWNER, "Accept": "text/html,*/*"})
    assert (answer.status, answer.getheader("Cache-Control")) == (503, "no-store")
    assert 'http-equiv="refresh" content="2"' in text
    assert door.board.wanted() < 5
    assert ray.asked == []


def test_a_stranger_wants_nothing(door):
    door.board.tell(DashboardState())
    ask(door, f"/{KEY}/", {"Cookie": "proxy-user=bob"})
    ask(door, "/")
    assert door.board.wanted() == float("inf")


def test_a_refusal_is_told_as_text_and_page_and_state(door):
    door.board.tell(DashboardState("refused", why="no room: 1 < 2"))
    assert ask(door, f"/{KEY}/")[1] == "no room: 1 < 2\n"
    assert "no room: 1 &lt; 2" in ask(door, f"/{KEY}/", {**OWNER, "Accept": "text/html"})[1]
    answer, text = ask(door, f"/{KEY}/-/state?user.name=me")
    assert (answer.status, json.loads(text)) == (200, {"state": "refused", "why": "no room: 1 < 2"})


def test_a_dead_dashboard_is_a_sentence(door):
    assert ask(door, f"/{KEY}/dies")[0].status == 502
    with socket.create_server(("127.0.0.1", 0)) as gone:
        door.board.tell(DashboardState("on", gone.getsockname()[1]))
    answer, text = ask(door, f"/{KEY}/nodes")
    assert (answer.status, "has ended" in text) == (503, True)


def test_the_token_goes_to_no_other_users_port(door, ray, monkeypatch):
    """The dashboard has ended, and a program of somebody else has its port now."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert ask(door, f"/{KEY}/nodes")[0].status == 503
    assert ray.asked == []


def test_a_silent_dashboard_holds_nobody(door, ray, monkeypatch):
    monkeypatch.setattr(gate, "_SILENCE", 0.3)
    assert ask(door, f"/{KEY}/slow")[0].status == 502
    assert len(ray.asked) == 1


def test_more_than_it_can_hold_are_turned_away_and_it_goes_on(door, monkeypatch):
    monkeypatch.setattr(gate._Request, "timeout", 1.0)
    address = door.socket.getsockname()
    crowd = [socket.create_connection(address) for _ in range(40)]
    time.sleep(0.3)
    end = time.monotonic() + 10
    while True:  # the silent ones are given up after a second
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(door, f"/{KEY}/")[0].status == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.1)
    for one in crowd:
        one.close()


def test_the_log_tells_of_refusals_without_the_key_and_not_of_each(door, caplog):
    caplog.set_level("INFO")
    for _ in range(20):
        ask(door, f"/{KEY}/nodes", {"Cookie": "proxy-user=bob"})
    assert 1 <= len(caplog.records) <= 3
    assert "bob" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("cookies", "user"),
    [
        ([], ""),
        (["proxy-user=me"], "me"),
        (["a=1; proxy-user=a%40b+c"], "a@b c"),
        (["proxy-user=me", "proxy-user=me"], "me"),
        (["proxy-user=me", "proxy-user=you"], ""),
        (['proxy-user="me"'], "me"),
        (["proxy-user"], ""),
        (["not-proxy-user=me"], ""),
    ],
)
def test_who_yarn_says_it_is(cookies, user):
    assert gate.proxied_user(cookies) == user


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/k//static/a.js", ("k", "/static/a.js")),
        ("/k/", ("k", "/")),
        ("/k", ("k", "/")),
        ("/k?x=/y", ("k", "/?x=/y")),
        ("//k/a//b?c=//d", ("k", "/a//b?c=//d")),
    ],
)
def test_the_key_is_the_first_word(path, parts):
    assert gate._split(path) == parts


def test_as_a_program_it_takes_the_socket_it_is_handed(tmp_path, ray):
    """And says neither the token nor the key to whoever lists processes."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    Board(tmp_path).tell(DashboardState("on", ray.server_port))
    listener = socket.create_server(("127.0.0.1", 0))
    told = {"listener": listener.fileno(), "hosts": ["127.0.0.1"], "key": KEY, "users": ["me"],
            "token": str(tmp_path / "token"), "folder": str(tmp_path)}  # fmt: skip
    command = [sys.executable, "-m", "rayyarn.container.gate"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[listener.fileno()]
    ) as process:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        try:
            link = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=10)
            link.request("GET", f"/{KEY}/nodes", headers=OWNER)
            assert link.getresponse().status == 200
            shown = "".join(Path(f"/proc/{process.pid}/{name}").read_text() for name in ("cmdline", "environ"))
            assert TOKEN not in shown
            assert KEY not in shown
        finally:
            process.kill()
    listener.close()


# --- whose a port is ---


def test_a_port_is_found_by_its_process_and_its_user():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.7", 0)):
        port = server.getsockname()[1]
        assert sockets.listeners(port) == {os.getuid()}
        assert sockets.loopback_port(os.getpid()) is not None
    assert sockets.listeners(port) == set()


def test_a_process_without_a_socket_on_loopback_has_no_port():
    code = "import socket, time; s = socket.create_server(('127.0.0.7', 0)); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert sockets.loopback_port(process.pid) is None
        process.kill()


def test_where_a_connection_comes_from():
    assert sockets.is_here("127.0.0.5")
    assert not sockets.is_here("192.0.2.1")  # TEST-NET-1, nobody's
    assert sockets.address_towards("127.0.0.5") == "127.0.0.1"
