"""The greeting and the frames of an exchange, over real sockets, with strangers among them."""

import socket
import struct
import threading

import pytest

from rayyarn.exchange.ends import channel, sender

SECRET = b"s" * 32


@pytest.fixture
def server():
    """A listener; ``serve(function)`` hands each connection to ``function`` and keeps what it returns or raises."""
    listener = channel.listen("127.0.0.1")
    said = []

    def serve(act, times=1):
        def run():
            for _ in range(times):
                line, _ = listener.accept()
                with line:
                    try:
                        said.append(act(line))
                    except OSError as error:
                        said.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    serve.address = listener.getsockname()[:2]
    serve.said = said
    yield serve
    listener.close()


def test_both_sides_prove_themselves_and_frames_arrive(server):
    def take(line):
        hello = channel.welcome(line, SECRET)
        frames = []
        while size := channel.read_size(line):
            frames.append(bytes(channel.read(line, size)))
        channel.send(line, b"thanks")
        return hello, frames

    thread = server(take)
    with channel.dial(server.address, SECRET, struct.pack("!QQ", 7, 8)) as line:
        channel.send(line, b"one")
        channel.send(line, memoryview(bytes(3_000_000)))
        channel.send_end(line)
        assert bytes(channel.read(line, channel.read_size(line))) == b"thanks"
    thread.join(5)
    hello, frames = server.said[0]
    assert struct.unpack("!QQ", hello[:16]) == (7, 8)
    assert frames == [b"one", bytes(3_000_000)]


def test_a_client_with_another_secret_is_cut_off(server):
    thread = server(lambda line: channel.welcome(line, SECRET))
    with pytest.raises(channel.Cut):
        channel.dial(server.address, b"x" * 32, b"")
    thread.join(5)
    assert isinstance(server.said[0], channel.Cut)


def test_a_server_with_another_secret_gets_no_data(server):
    def pretend(line):  # it cannot know the proof, and sends something
        line.sendall(channel.MAGIC + bytes(32))
        channel.read(line, 96)
        line.sendall(bytes(32))

    server(pretend)
    with pytest.raises(channel.Cut, match="does not know the secret"):
        channel.dial(server.address, SECRET, b"")


def test_the_secret_never_crosses_the_wire(server):
    heard = []

    def relay(line):
        line.sendall(channel.MAGIC + bytes(32))
        heard.append(bytes(channel.read(line, 96)))

    thread = server(relay)
    with pytest.raises(OSError):
        channel.dial(server.address, SECRET, b"hello")
    thread.join(5)
    assert SECRET not in heard[0]


def test_a_stranger_who_sends_a_frame_at_once_is_cut_off(server):
    thread = server(lambda line: channel.welcome(line, SECRET))
    with socket.create_connection(server.address) as line:
        line.sendall(struct.pack("!Q", 1 << 40) + bytes(200))
        thread.join(5)
    assert isinstance(server.said[0], channel.Cut)


def test_a_last_word_reaches_who_is_still_sending(server):
    def refuse(line):
        channel.welcome(line, SECRET)
        channel.read_size(line)
        channel.send_last_word(line, "no more, thank you")

    server(refuse)
    with channel.dial(server.address, SECRET, b"") as line, pytest.raises(channel.Cut, match="no more, thank you"):
        for _ in range(1000):
            channel.send(line, bytes(1_000_000))


def test_the_first_that_answers_is_taken(server):
    server(lambda line: channel.welcome(line, SECRET))
    line, number = channel.dial_any([("127.0.0.1", 9), server.address], SECRET, b"")
    line.close()
    assert number == 1
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9"):
        channel.dial_any([("127.0.0.1", 9)], SECRET, b"")


def test_a_task_prefers_its_own_host_and_then_takes_turns(monkeypatch):
    stations = [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 1)]
    monkeypatch.setattr(sender, "own_addresses", lambda: {"10.0.0.2"})
    assert [sender.preference(stations, partition, 0)[0] for partition in range(4)] == [1, 1, 1, 1]
    assert {sender.preference(stations, 0, tries)[0] for tries in (1, 2, 3)} == {0, 1, 2}
    monkeypatch.setattr(sender, "own_addresses", lambda: {"192.168.0.9"})
    assert [sender.preference(stations, partition, 0)[0] for partition in range(4)] == [0, 1, 2, 0]
    assert sorted(sender.preference(stations, 1, 0)) == [0, 1, 2]


def test_own_addresses_are_those_of_the_name_that_yarn_uses(monkeypatch):
    monkeypatch.setenv("NM_HOST", "127.0.0.7")
    assert "127.0.0.7" in sender.own_addresses()
