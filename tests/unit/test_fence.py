"""The fence bites: what the other unit tests rely on."""

import socket
import subprocess

import pytest


def test_no_process_is_started():
    with pytest.raises(pytest.fail.Exception, match="reached outside"):
        subprocess.run(["true"], check=True)


def test_nothing_is_asked_over_the_network():
    with pytest.raises(pytest.fail.Exception, match="reached outside"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
