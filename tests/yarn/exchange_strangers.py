"""Somebody on the network, while a transfer runs, with everything but the secret."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from exchange_facts import PARTS, ROWS, check, receivers, say
from exchange_faults import fault

from rayyarn.exchange.ends import channel


@check
def strangers(cluster, spark):
    seen = {}
    lent = set(listening(receivers()))  # what earlier checks lent to Spark is still lent

    def knock():
        time.sleep(4)
        ports = [port for port in listening(receivers()) if port not in lent]
        seen["listening"] = sorted({ip for ip, _ in ports})
        for ip, port in ports[:1]:
            try:
                channel.dial((ip, port), b"0" * 32, struct.pack("!QQ", 0, 0)).close()
                seen["wrong secret"] = "let in"
            except OSError as error:
                seen["wrong secret"] = str(error)
            with socket.create_connection((ip, port), timeout=5) as line:
                line.settimeout(5)
                line.recv(100)
                line.sendall(struct.pack("!Q", 1 << 40) + bytes(200))
                try:
                    seen["a frame at once"] = line.recv(100).decode() or "cut off"
                except ConnectionResetError:
                    seen["a frame at once"] = "cut off"

    slow = spark.range(0, ROWS, 1, PARTS).mapInArrow(fault("wait"), "id long")
    thread = threading.Thread(target=knock)
    thread.start()
    made = cluster.to_ray(slow)
    thread.join()
    say("strangers", rows=made.count(), after=len(set(listening(receivers())) - lent), **seen)
    conf = json.dumps(spark.sparkContext.getConf().getAll())
    say("secrets", in_conf="secret" in conf.lower())


def listening(pids):
    """(address, port) that these processes listen on beside Ray's own ports."""
    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    target = str(link.readlink())
                    inodes |= {target[8:-1]} if target.startswith("socket:[") else set()
    found = []
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = row.split()
        if words[3] == "0A" and words[9] in inodes:
            ip, port = words[1].split(":")
            found.append((socket.inet_ntoa(struct.pack("<I", int(ip, 16))), int(port, 16)))
    return found
