"""A YARN made of dictionaries: its REST over real HTTP, and Skein's driver and master as plain objects."""

import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from rayyarn import store
from rayyarn.skein_am import MasterUnreachable

LIVE = ("ACCEPTED", "RUNNING")


class Yarn:
    """Applications and their stores. ``fail`` maps the name of a point to the exception that is raised there once."""

    def __init__(self, user="me"):
        self.user = user
        self.apps, self.stores, self.containers = {}, {}, {}
        self.fail, self.reached, self.submitted = {}, [], []
        self.lock = threading.RLock()
        self.accept_only = False  # applications stay ACCEPTED
        self.head, self.workers = "ready", None  # None: as many as asked for
        self.diagnostics = ""
        self.staged = {}  # application to the folder that its submit made
        self.tracking, self.linked = "", False  # an application's own page, and whether the dashboard is linked there

    def at(self, point):
        """A point that every launch passes."""
        self.reached.append(point)
        if point in self.fail:
            raise self.fail.pop(point)

    def live(self):
        return sorted(app["id"] for app in self.apps.values() if app["state"] in LIVE)

    def submit(self, document):
        with self.lock:
            app_id = f"application_1_{len(self.apps) + 1:04d}"
            accepted = self.accept_only
            self.apps[app_id] = {
                "id": app_id, "name": document["name"], "user": self.user, "queue": "root.default",
                "state": "ACCEPTED" if accepted else "RUNNING", "finalStatus": "UNDEFINED",
                "diagnostics": self.diagnostics, "applicationTags": ",".join(document["tags"]),
                "startedTime": int(time.time() * 1000), "finishedTime": 0, "progress": 100.0,
                "amRPCAddress": "" if accepted else "127.0.0.1:7000", "trackingUrl": self.tracking.format(id=app_id),
            }  # fmt: skip
            self.submitted.append(document)
            self.stores[app_id] = self._store(document)
            return app_id

    def _store(self, document):
        wanted = sum(one["instances"] for name, one in document["services"].items() if name != "head")
        have = wanted if self.workers is None else self.workers
        keys = {store.WANTED: json.dumps({"workers": wanted, "min_workers": wanted}).encode()}
        names = [("head", 0)] if self.head else []
        names += [("worker", number) for number in range(have)]
        for role, number in names:
            node = store.NodeState(f"container_{role}_{number}", f"{role}_{number}", role, "n1", "127.0.0.1",
                                   state=self.head if role == "head" else "ready")  # fmt: skip
            keys[store.NODE + node.container] = node.to_json()
            keys[store.ALIVE + node.container] = b""
        if self.linked:
            keys[store.DASHBOARD] = b""
        if self.head == "ready":
            keys[store.HEAD] = b"127.0.0.1:6379"
            alive = [{"name": f"container_{role}_{number}", "alive": True} for role, number in names]
            keys[store.RAY] = json.dumps(alive).encode()
        return keys

    def end(self, app_id, state, final, diagnostics=""):
        self.apps[app_id].update(state=state, finalStatus=final, diagnostics=diagnostics, amRPCAddress="",
                                 finishedTime=int(time.time() * 1000))  # fmt: skip
        if state == "FINISHED":  # a master that lives to its end removes what the submit staged; a killed one cannot
            shutil.rmtree(self.staged.pop(app_id, ""), ignore_errors=True)


class Driver:
    """Stands where skein's JVM would."""

    yarn: Yarn

    def __init__(self, site, credentials):
        self.yarn.at("driver")
        self._site = site

    def ready(self):
        self.yarn.at("driver ready")

    def submit(self, document):
        self.yarn.at("submit")
        app_id = self.yarn.submit(document)
        target = self._site.get("fs.viewfs.mounttable.mini.linkFallback").removeprefix("file://")
        self.yarn.staged[app_id] = Path(f"{target}{self._site.home}/.skein/{app_id}")
        if app_id in self.yarn.live():
            self.yarn.staged[app_id].mkdir(parents=True)
        self.yarn.at("submitted")
        return app_id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.yarn.at("driver closed")


class Master:
    """Stands where the ApplicationMaster would; its supervisors stop as soon as they are told."""

    yarn: Yarn

    def __init__(self, address, app_id, credentials, *, limit=5.0):
        self.address, self.id = address, app_id
        assert credentials.key

    def _keys(self):
        if self.yarn.apps[self.id]["state"] != "RUNNING":
            raise MasterUnreachable("connection lost")
        return self.yarn.stores[self.id]

    def read(self, prefix=""):
        self.yarn.at("read" if prefix else "look")
        return {key: value for key, value in dict(self._keys()).items() if key.startswith(prefix)}

    def write(self, key, value, *, owner=None):
        self.yarn.at(f"write {key}")
        self._keys()[key] = value

    def remove(self, prefix):
        self.yarn.at(f"remove {prefix}")
        keys = self._keys()
        for key in [key for key in keys if key.startswith((prefix, store.NODE))]:
            del keys[key]

    def containers(self):
        return self.yarn.containers.get(self.id, [])

    def shutdown(self, status, diagnostics):
        self.yarn.at("shutdown")
        self.yarn.end(self.id, "FINISHED", status, diagnostics)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return self.server.manager.date or super().date_time_string(timestamp)

    def do_GET(self):
        self._answer("GET")

    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        self._answer("PUT", json.loads(self.rfile.read(length)))

    def _answer(self, method, body=None):
        manager = self.server.manager
        manager.asked.append((method, self.path))
        status, headers, text = manager.answer(method, self.path, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        try:
            self.wfile.write(text)
        except BrokenPipeError:  # the slow one: its client has left
            self.close_connection = True


class Manager:
    """A ResourceManager's REST. ``mood``: ok, standby, redirect, garbage, slow, hangs, or a status to refuse with."""

    def __init__(self, yarn, mood="ok"):
        self.yarn, self.mood, self.asked = yarn, mood, []
        self._closing = threading.Event()
        self.nodes = [{"nodeHostName": "n1", "state": "RUNNING", "usedMemoryMB": 0, "availMemoryMB": 65536,
                       "usedVirtualCores": 0, "availableVirtualCores": 16, "healthReport": ""}]  # fmt: skip
        self.queues = [{"queueName": "default", "state": "RUNNING", "usedCapacity": 12.5}]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.manager = self
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.nodes[0]["nodeHTTPAddress"] = self.address
        self.info = {"state": "STARTED", "haState": "INITIALIZING", "hadoopVersion": "3.5.0"}
        self.logs = {}
        self.settings = {}  # what /conf tells, as ResourceManager and as NodeManager
        self.date = None  # of its answers; None: now
        self.pages = []  # what the web proxy answers, one after the other, the last for good
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method, target, body):
        if self.mood == "slow":
            time.sleep(1.0)
        if self.mood == "hangs":
            self._closing.wait(60)
        if self.mood == "standby":
            return 200, {"Refresh": "3; url=http://other"}, b"This is standby RM. The redirect url is: http://other"
        if self.mood == "redirect":
            return 307, {"Location": "http://other"}, b""
        if self.mood == "garbage":
            return 200, {}, b"<html>login please</html>"
        if isinstance(self.mood, int):
            return self.mood, {}, b'{"RemoteException": {"exception": "X", "message": "not for you"}}'
        parts = urlsplit(target)
        if parts.path.startswith("/ws/v1/node/containers/"):
            return self._logs(parts.path.split("/")[5:], parse_qs(parts.query))
        if parts.path.startswith("/proxy/"):
            status, text = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
            return status, {}, text
        if parts.path == "/conf":
            told = {"properties": [{"key": key, "value": value} for key, value in self.settings.items()]}
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        status, found = self._find(method, parts.path.removeprefix("/ws/v1/cluster/"), parse_qs(parts.query), body)
        return status, {"Content-Type": "application/json"}, json.dumps(found).encode()

    def _logs(self, words, query):
        """A NodeManager's pages of logs, as Hadoop 3.5.0 writes them. ``self.logs``: container to file to bytes."""
        container, _, *file = words
        if container not in self.logs:
            return 404, {}, b"cannot find the container"
        if not file:
            infos = [{"fileName": name, "fileSize": str(len(data))} for name, data in self.logs[container].items()]
            listed = [{"containerLogsInfo": {"logAggregationType": "LOCAL", "containerLogInfo": infos}}]
            return 200, {}, json.dumps(listed).encode()
        data, size = self.logs[container][file[0]], -int(query["size"][0])
        head = f"Container: {container} on n1:1\nLogType:{file[0]}\nLogLength:{len(data)}\nLogContents:\n"
        return 200, {}, head.encode() + data[-size:] + f"\nEnd of LogType:{file[0]}.\n".encode()

    def _find(self, method, path, query, body):
        if path == "apps":
            return 200, {"apps": {"app": self._listed(query)} if self.yarn.apps else None}
        if path == "info":
            return 200, {"clusterInfo": self.info}
        if path == "nodes":
            return 200, {"nodes": {"node": self.nodes} if self.nodes else None}
        if path == "scheduler":
            root = {"queueName": "root", "queues": {"queue": self.queues}}
            return 200, {"scheduler": {"schedulerInfo": root}}
        _, app_id, *rest = path.split("/")
        app = self.yarn.apps.get(app_id)
        if app is None:
            return 404, {"RemoteException": {"message": f"app with id: {app_id} not found"}}
        if method == "PUT" and app["state"] in LIVE:
            self.yarn.end(app_id, body["state"], body["state"], body.get("diagnostics", "killed by user"))
            return 202, {"state": "KILLING"}
        if rest and rest[0] == "appattempts":
            return 200, {"container": {"containerId": "container_1"}}
        return 200, {"app": app}

    def _listed(self, query):
        states = query["states"][0].split(",")
        tag = query.get("applicationTags", [""])[0]
        return [
            app for app in list(self.yarn.apps.values())
            if app["state"] in states and app["user"] == query["user"][0] and (not tag or tag in app["applicationTags"])
        ]  # fmt: skip
