"""WebHDFS against a NameNode and a DataNode played by this process: redirects, standby, refusals, broken uploads."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from rayyarn import filesystem, stage
from rayyarn.errors import StagingFailed
from rayyarn.filesystem import DoorClosed
from rayyarn.filesystem.webhdfs import WebHdfs, namenodes
from rayyarn.hadoop import Hadoop


class Cluster:
    """One HDFS in memory behind HTTP. ``standby`` and ``refuse`` change how it answers."""

    def __init__(self):
        self.files, self.folders, self.asked = {}, {"/": 0o755, "/user": 0o755, "/user/me": 0o750}, []
        self.standby, self.refuse, self.broken_datanode = False, None, False
        handler = type("Handler", (Handler,), {"cluster": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class asks for these names

    def _serve(self):
        parts = urlsplit(self.path)
        path, query = parts.path.removeprefix("/webhdfs/v1"), {k: v[0] for k, v in parse_qs(parts.query).items()}
        data_node = path.startswith("/data")
        body = self._body() if data_node and self.command == "PUT" else b""
        self.cluster.asked.append((self.command, query.get("op"), path, query))
        if data_node:
            return self._data(path.removeprefix("/data"), query, body)
        if self.cluster.standby:
            return self._refuse(403, "StandbyException", "Operation category READ is not supported in state standby")
        if self.cluster.refuse:
            return self._refuse(*self.cluster.refuse)
        return getattr(self, f"_{query['op'].lower()}")(path, query)

    def _body(self):
        body = b""
        if self.cluster.broken_datanode:
            self.rfile.readline()
            self.close_connection = True
            self.connection.close()
            return body
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        if not self.rfile.readline():  # the sender has hung up: a busy DataNode still makes the file, of what came
            time.sleep(0.3)
        return body

    def _data(self, path, query, body):
        if self.cluster.broken_datanode:
            return None
        if self.command == "PUT":
            self.cluster.files[path] = (body, int(query["permission"], 8))
            return self._send(201)
        return self._send(200, self.cluster.files[path][0])

    def _getfilestatus(self, path, query):
        found = self._status(path)
        return self._json({"FileStatus": found}) if found else self._refuse(404, "FileNotFoundException", path)

    def _liststatus(self, path, query):
        if path not in self.cluster.folders:
            return self._refuse(404, "FileNotFoundException", path)
        inner = [name for name in self.cluster.files if name.rsplit("/", 1)[0] == path]
        found = [{**self._status(name), "pathSuffix": name.rsplit("/", 1)[1]} for name in inner]
        return self._json({"FileStatuses": {"FileStatus": found}})

    def _mkdirs(self, path, query):
        self.cluster.folders[path] = int(query["permission"], 8)
        return self._json({"boolean": True})

    def _create(self, path, query):
        return self._redirect(path, query)

    def _open(self, path, query):
        found = path in self.cluster.files
        return self._redirect(path, query) if found else self._refuse(404, "FileNotFoundException", path)

    def _rename(self, path, query):
        target = query["destination"]
        if target in self.cluster.files and query.get("renameoptions") != "OVERWRITE":
            return self._json({"boolean": False})
        self.cluster.files[target] = self.cluster.files.pop(path)
        return self._json({"boolean": True})

    def _delete(self, path, query):
        return self._json({"boolean": self.cluster.files.pop(path, None) is not None})

    def _status(self, path):
        if path in self.cluster.folders:
            return {
                "length": 0,
                "modificationTime": 5,
                "type": "DIRECTORY",
                "permission": f"{self.cluster.folders[path]:o}",
            }
        if path not in self.cluster.files:
            return None
        data, mode = self.cluster.files[path]
        return {"length": len(data), "modificationTime": 7000, "type": "FILE", "permission": f"{mode:o}"}

    def _redirect(self, path, query):
        self.send_response(307)
        self.send_header(
            "Location", f"http://{self.cluster.address}/webhdfs/v1/data{path}?permission={query.get('permission', '0')}"
        )
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status, kind, message):
        if kind is None:
            return self._send(status, message.encode())
        return self._json({"RemoteException": {"exception": kind, "javaClassName": kind, "message": message}}, status)

    def _json(self, document, status=200):
        self._send(status, json.dumps(document).encode())

    def _send(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def fs(cluster):
    return WebHdfs("hdfs://nn:8020", [f"http://{cluster.address}"], "me")


PATH = "/user/me/.rayyarn/envs/abc.tar.gz"


def test_staging_streams_to_the_datanode_and_renames(fs, cluster):
    blocks = [b"a" * 70_000, b"", b"b" * 5]
    staged = stage.ensure(fs, PATH, lambda sink: [sink.write(block) for block in blocks])
    assert cluster.files == {PATH: (b"".join(blocks), 0o600)}
    assert (staged.uri, staged.size, staged.mtime_ms) == (f"hdfs://nn:8020{PATH}", 70_005, 7000)
    assert cluster.folders["/user/me/.rayyarn"] == cluster.folders["/user/me/.rayyarn/envs"] == 0o700
    assert {query.get("user.name") for _, op, _, query in cluster.asked if op} == {"me"}
    count = len(cluster.asked)
    assert stage.ensure(fs, PATH, lambda sink: pytest.fail("sent again")).size == 70_005
    assert len(cluster.asked) == count  # what was seen is believed


def test_reading_writing_listing_removing(fs, cluster):
    fs.write("/user/me/doc.json", b"one")
    fs.write("/user/me/doc.json", b"two")
    assert fs.read("/user/me/doc.json") == b"two"
    assert {name: one.size for name, one in fs.list("/user/me").items()} == {"doc.json": 3}
    assert fs.list("/nowhere") == {}
    assert fs.remove("/user/me/doc.json")
    assert fs.stat("/user/me/doc.json") is None
    with pytest.raises(FileNotFoundError):
        fs.read("/user/me/doc.json")


def test_who_comes_second_keeps_the_first_ones_file(fs, cluster):
    def write(sink):
        cluster.files[PATH] = (b"theirs", 0o600)
        sink.write(b"ours")

    assert stage.ensure(fs, PATH, write).size == 6
    assert set(cluster.files) == {PATH}


def test_an_upload_that_is_given_up_leaves_nothing(fs, cluster):
    def write(sink):
        sink.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.ensure(fs, PATH, write)
    time.sleep(0.5)
    assert cluster.files == {}


def test_a_datanode_that_hangs_up(fs, cluster):
    cluster.broken_datanode = True

    def write(sink):
        for _ in range(200):
            sink.write(b"x" * 100_000)

    with pytest.raises(StagingFailed, match="refuses"):
        stage.ensure(fs, PATH, write)
    assert cluster.files == {}


def test_the_active_namenode_is_found_and_asked_first_from_then_on(fs, cluster):
    standby = Cluster()
    try:
        standby.standby = True
        both = WebHdfs("hdfs://ns", [f"http://{standby.address}", f"http://{cluster.address}"], "me")
        assert both.stat("/user").is_dir
        assert both.stat("/user/me").is_dir
        assert len(standby.asked) == 1
    finally:
        standby.close()


def test_no_namenode_opens_the_next_door(cluster):
    dead = WebHdfs("hdfs://nn", ["http://127.0.0.1:9"], "me")
    with pytest.raises(DoorClosed, match="no NameNode of hdfs://nn answers over HTTP"):
        dead.stat("/user")
    alive = WebHdfs("hdfs://nn", [f"http://{cluster.address}"], "me")
    assert filesystem.Choice("hdfs://nn", [dead, alive]).stat("/user").is_dir


@pytest.mark.parametrize(
    ("answer", "sentence", "hint"),
    [
        ((403, "AccessControlException", "Permission denied: user=me, access=WRITE, inode=\"/user\""),
         "the home folder /user/me is not there", "hdfs dfs -mkdir /user/me && hdfs dfs -chown me /user/me"),
        ((403, "DSQuotaExceededException", "The DiskSpace quota of /user/me is exceeded"), "your quota", "env prune"),
        ((403, "SafeModeException", "Name node is in safe mode."), "HDFS is in safe mode", "dfsadmin"),
        ((500, "IOException", "could only be written to 0 of the 1 minReplication nodes"), "all are full", "-report"),
    ],
)  # fmt: skip
def test_refusals_say_what_to_do(fs, cluster, answer, sentence, hint):
    cluster.refuse = answer
    with pytest.raises(StagingFailed, match=sentence) as caught:
        stage.ensure(fs, PATH, lambda sink: None)
    assert hint in caught.value.hint
    assert answer[2] in caught.value.log


def test_webhdfs_switched_off_is_a_closed_door(fs, cluster):
    cluster.refuse = (404, None, "<html>not found</html>")
    with pytest.raises(DoorClosed, match="does not let us in over HTTP"):
        fs.stat("/user")


def test_namenodes_of_one_and_of_two():
    one = Hadoop(None, "t", {"dfs.namenode.http-address": "0.0.0.0:9880", "fs.defaultFS": "hdfs://nn.site:8020"})
    assert namenodes(one, "nn.site:8020") == ["http://nn.site:9880"]
    assert namenodes(one, "other.site:8020") == ["http://other.site:9870"]
    properties = {
        "dfs.nameservices": "ns,other", "dfs.ha.namenodes.ns": "a, b", "dfs.http.policy": "HTTPS_ONLY",
        "dfs.namenode.https-address.ns.a": "a.site:9871", "dfs.namenode.https-address.ns.b": "b.site:9871",
    }  # fmt: skip
    assert namenodes(Hadoop(None, "t", properties), "ns") == ["https://a.site:9871", "https://b.site:9871"]
