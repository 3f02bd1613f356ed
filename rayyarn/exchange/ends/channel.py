"""One connection between a Spark task and a Ray node: each side proves that it knows the transfer's secret.

Travels by value, to Spark's Python workers and to Ray's: stdlib only, nothing of rayyarn, no state in the module.

The secret is used as a key and never sent (HMAC-SHA256, RFC 2104, over a nonce of either side). Then come frames:
their length (8 bytes), then so many bytes. Length 0 ends the conversation, the highest one announces a last word.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAGIC = b"rayyarn1"
HELLO = 32  # bytes with which the client says what it wants
# Both have worked or failed within milliseconds on any network that is fit to move data.
DIAL_SECONDS = 10.0
_NONCE = 32
_MAC = 32
_LAST_WORD = 2**64 - 1
_WORDS = 4096  # bytes of a last word at the most


class Cut(ConnectionError):
    """The other side hung up, or is not who it should be."""


def listen(ip: str) -> socket.socket:
    """A listener on this address alone, at a free port."""
    return socket.create_server((ip, 0), backlog=512)


def answer(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Hand each connection to ``serve`` in a thread of its own, until the listener is shut down."""

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def shut(connections: Iterable[socket.socket]) -> None:
    """Shut down connections or listeners, which wakes whoever waits for them."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def welcome(connection: socket.socket, secret: bytes) -> bytes:
    """The server's side of the greeting: the client's hello, once it has proved itself. Raises Cut."""
    _tune(connection)
    connection.settimeout(DIAL_SECONDS)
    nonce = os.urandom(_NONCE)
    connection.sendall(MAGIC + nonce)
    said = bytes(read(connection, _NONCE + HELLO + _MAC))
    theirs, hello, proof = said[:_NONCE], said[_NONCE:-_MAC], said[-_MAC:]
    if not hmac.compare_digest(proof, _prove(secret, b"client", nonce, theirs, hello)):
        raise Cut("a stranger")
    connection.sendall(_prove(secret, b"server", nonce, theirs, hello))
    connection.settimeout(None)
    return hello


def dial(address: tuple[str, int], secret: bytes, hello: bytes) -> socket.socket:
    """The client's side: a connection to ``address`` that both have proved themselves on. Raises OSError."""
    connection = socket.create_connection(address, timeout=DIAL_SECONDS)
    try:
        _tune(connection)
        said = bytes(read(connection, len(MAGIC) + _NONCE))
        if said[: len(MAGIC)] != MAGIC:
            raise Cut(f"{address[0]}:{address[1]} is something else")
        nonce, theirs = os.urandom(_NONCE), said[len(MAGIC) :]
        hello = hello.ljust(HELLO, b"\0")
        connection.sendall(nonce + hello + _prove(secret, b"client", theirs, nonce, hello))
        if not hmac.compare_digest(bytes(read(connection, _MAC)), _prove(secret, b"server", theirs, nonce, hello)):
            raise Cut(f"{address[0]}:{address[1]} does not know the secret of this transfer")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def dial_any(addresses: list[tuple[str, int]], secret: bytes, hello: bytes) -> tuple[socket.socket, int]:
    """The first of ``addresses`` that answers, and which one it was. Raises ConnectionError with what each said."""
    failures = []
    for number, address in enumerate(addresses):
        try:
            return dial(address, secret, hello), number
        except OSError as error:
            failures.append(f"{address[0]}:{address[1]}: {error.strerror or error}")
    raise ConnectionError("; ".join(failures))


def send(connection: socket.socket, data: Any) -> None:
    """One frame. Raises Cut when the other side has spoken up meanwhile: it wants no more."""
    spoken = select.poll()
    spoken.register(connection, select.POLLIN)
    if spoken.poll(0):
        read_size(connection)
        raise Cut("an answer before the end")
    connection.sendall(struct.pack("!Q", memoryview(data).nbytes))
    connection.sendall(data)


def send_end(connection: socket.socket) -> None:
    """No more frames."""
    connection.sendall(bytes(8))


def send_last_word(connection: socket.socket, text: str) -> None:
    """Say why nothing more will be taken, or come; the other side may be gone already."""
    words = text.encode()[:_WORDS]
    try:
        connection.settimeout(DIAL_SECONDS)
        connection.sendall(struct.pack("!QQ", _LAST_WORD, len(words)) + words)
        connection.shutdown(socket.SHUT_WR)
        # Closing with bytes unread would reset the connection, and the last word with it.
        until = time.monotonic() + DIAL_SECONDS
        while connection.recv(1 << 20) and time.monotonic() < until:
            pass
    except OSError:
        pass


def read_size(connection: socket.socket) -> int:
    """The length of the next frame; 0 at the end. Raises Cut, with the other side's last word if it had one."""
    (size,) = struct.unpack("!Q", read(connection, 8))
    if size == _LAST_WORD:
        (length,) = struct.unpack("!Q", read(connection, 8))
        raise Cut(bytes(read(connection, min(length, _WORDS))).decode(errors="replace"))
    return int(size)


def read(connection: socket.socket, size: int) -> bytearray:
    """Exactly ``size`` bytes. Raises Cut when there are fewer."""
    data = bytearray(size)
    read_into(connection, memoryview(data))
    return data


def read_into(connection: socket.socket, view: memoryview) -> None:
    """Fill ``view``. Raises Cut when the other side ends too early."""
    got = 0
    while got < len(view):
        count = connection.recv_into(view[got:])
        if not count:
            raise Cut("the connection was closed")
        got += count


def _tune(connection: socket.socket) -> None:
    """A peer that is gone without a word (a dead host, a cut cable) is noticed within a minute, in both directions."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_NODELAY", 1)):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    # A receiver that takes its time keeps its window closed; the probes of that window are answered, so it may.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def _prove(secret: bytes, side: bytes, server: bytes, client: bytes, hello: bytes) -> bytes:
    return hmac.new(secret, MAGIC + side + server + client + hello, hashlib.sha256).digest()
