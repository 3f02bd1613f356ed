"""The gate of the dashboard: ``python -m rayyarn.container.gate``, a small web server beside the head.

A request comes from a browser through YARN's web proxy and the pages of the application's master. It is let in when all
of this holds, see docs/adr/dashboard.md:

- it comes from the host of the master, which itself takes requests from YARN's web proxy alone (AmIpFilter);
- its path begins with the key that only the master was told: there are other programs on that host;
- YARN's web proxy says, in the cookie ``proxy-user``, that its user is the owner or an admin. Whoever can run programs
  as YARN's own user on the master's host could write the cookie and read the key; he could read Ray's token as well.
- it is a GET or a HEAD. Ray runs whatever is sent to it by POST.

The gate adds Ray's token and passes the request on. The token goes to a socket of this very user on this machine, never
back. The gate does not start the dashboard: it tells the supervisor that it is wanted.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote_plus

from rayyarn.container import sockets
from rayyarn.container.dashboard_state import Board

# A page asks for a dozen things at once. More at a time than this are turned away, as strangers may come too.
_AT_ONCE = 32
_SILENCE = 20.0  # seconds without a byte, from either side. The master's own proxy gives up after 30.
_PASSED_ON = ("Accept", "Accept-Language", "Range")
# What is not here stays here: above all Set-Cookie, with which Ray hands out its token.
_PASSED_BACK = ("Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Cache-Control", "ETag",
                "Last-Modified")  # fmt: skip
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>Ray dashboard</title>{more}</head>
<body style="font-family: sans-serif; margin: 3em"><p>{text}</p></body></html>
"""


@dataclass(frozen=True)
class Rights:
    """Who is let in: from which addresses, with which key, as whom."""

    hosts: frozenset[str]
    key: str
    users: frozenset[str]

    def knows(self, key: str) -> bool:
        """True for the key, in a time that does not tell how much of another one was right."""
        return hmac.compare_digest(key.encode(errors="replace"), self.key.encode())


class Gate(ThreadingHTTPServer):
    """On ``listener``, until it is killed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, rights: Rights, token: str, board: Board) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.rights, self.token, self.board = rights, token, board
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._next_word = 0.0

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn strangers away before they cost a thread."""
        if client_address[0] in self.rights.hosts:
            return True
        self.remark(f"refused: {client_address[0]} is not the host of the application's master")
        with suppress(OSError):
            request.settimeout(0.05)
            with suppress(TimeoutError):
                request.recv(4096)  # what is unread when we close would take our answer along
            request.sendall(_REFUSED)
        return False

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that left, mostly."""
        self.remark(f"a request from {client_address[0]} was not answered: {sys.exc_info()[1]!r}")

    def remark(self, text: str) -> None:
        """A line in the log, one a second at most: a port scan must not fill YARN's disk."""
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + 1.0
            logging.info("%s", text)


class _Request(BaseHTTPRequestHandler):
    """One request of somebody on the master's host."""

    protocol_version = "HTTP/1.1"
    timeout = _SILENCE
    server: Gate

    def __getattr__(self, name: str) -> Any:
        """``do_GET`` and so on: whatever the method is, who asks is looked at first."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        self.close_connection = True
        key, rest = _split(self.path)
        user = proxied_user(self.headers.get_all("Cookie", []))
        if not self.server.rights.knows(key):
            self._refuse(403, "This is not the way in.", "it does not have the key")
        elif user not in self.server.rights.users:
            who = f"YARN says that you are {user or 'nobody'}"
            self._refuse(403, f"The dashboard is for the cluster's owner and YARN's admins; {who}.", f"user {user!r}")
        elif self.command not in ("GET", "HEAD"):
            self._refuse(405, "Through here things can be looked at, not changed.", self.command)
        elif self.headers.get("Upgrade"):
            self._refuse(501, "Web sockets do not get through YARN's proxy.", "a web socket")
        else:
            self._let_in(rest)

    def _let_in(self, target: str) -> None:
        self.server.board.want()
        found = self.server.board.told()
        if target.partition("?")[0] == "/-/state":
            self._say(200, json.dumps({"state": found.state, "why": found.why}), "application/json")
        elif found.state == "on":
            self._pass_on(found.port, target)
        elif found.state == "refused":
            self._page(503, found.why)
        else:
            self._page(503, "Ray's dashboard starts, in ten seconds or so.", again=2)

    def _pass_on(self, port: int, target: str) -> None:
        if sockets.listeners(port) != {os.getuid()}:  # it has ended, and somebody else may have its port by now
            self._page(503, "Ray's dashboard has ended; it is started again.", again=2)
            return
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=_SILENCE)
        asked = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        asked |= {"X-Ray-Authorization": f"Bearer {self.server.token}", "Accept-Encoding": "identity"}
        try:
            link.request(self.command, quote(target.encode("latin-1"), safe="/?&=%:@!$'()*+,;~-._[]"), headers=asked)
            self._pass_back(link.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self.server.remark(f"the dashboard did not answer: {error!r}")
            if not self._begun:
                self._page(502, "Ray's dashboard does not answer.")
        finally:
            link.close()

    _begun = False

    def _pass_back(self, answer: http.client.HTTPResponse) -> None:
        self._begun = True
        self.send_response_only(answer.status)
        kept = {name: value for name in _PASSED_BACK if (value := answer.getheader(name)) is not None}
        for name, value in ({"Cache-Control": "no-store"} | kept).items():
            self.send_header(name, value)
        self._end_headers()
        while self.command != "HEAD" and (some := answer.read1(1 << 16)):
            self.wfile.write(some)

    def _refuse(self, status: int, text: str, why: str) -> None:
        self.server.remark(f"refused: {why}")
        self._say(status, text + "\n", "text/plain; charset=utf-8")

    def _page(self, status: int, text: str, *, again: int = 0) -> None:
        """A sentence, as a page where a browser shows it. ``again``: seconds after which it asks once more."""
        if "text/html" in self.headers.get("Accept", ""):
            more = f'<meta http-equiv="refresh" content="{again}">' if again else ""
            self._say(status, _PAGE.format(more=more, text=escape(text)), "text/html; charset=utf-8")
        else:
            self._say(status, text + "\n", "text/plain; charset=utf-8")

    def _say(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self._end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: the path holds the key."""


def _split(path: str) -> tuple[str, str]:
    """The key and what comes after it, which begins with one slash. The master's proxy doubles that one."""
    words, mark, query = path.partition("?")
    key, _, rest = words.lstrip("/").partition("/")
    return key, "/" + rest.lstrip("/") + mark + query


def proxied_user(cookies: list[str]) -> str:
    """Who YARN's web proxy says that it is (WebAppProxyServlet, Hadoop 3.5.0); empty for nobody, and for two."""
    pairs = [word.strip().partition("=") for cookie in cookies for word in cookie.split(";")]
    users = {unquote_plus(value.strip('"')) for name, _, value in pairs if name == "proxy-user"}
    return users.pop() if len(users) == 1 else ""


def main() -> NoReturn:
    """Serve on the socket that was handed down; what else there is to know comes in a line of JSON on the input."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    told = json.loads(sys.stdin.readline())
    rights = Rights(frozenset(told["hosts"]), told["key"], frozenset(told["users"]))
    listener = socket.socket(fileno=told["listener"])
    token = Path(told["token"]).read_text().strip()
    Gate(listener, rights, token, Board(Path(told["folder"]))).serve_forever()
    sys.exit(1)


if __name__ == "__main__":
    main()
