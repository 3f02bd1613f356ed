"""What a supervisor has around it: a Ray that does as it is told, a master made of a dictionary, a clock."""

from rayyarn import store
from rayyarn.container.post import Post
from rayyarn.container.supervisor import Supervisor
from rayyarn.skein_am import MasterUnreachable


class Master:
    """Keys, and what the application ended as. ``dead`` lets every call fail."""

    address = "127.0.0.1:7000"

    def __init__(self):
        self.keys, self.ended, self.dead, self.written = {}, None, False, []

    def _reach(self):
        if self.dead:
            raise MasterUnreachable("connection lost")

    def read(self, prefix=""):
        self._reach()
        return {key: value for key, value in self.keys.items() if key.startswith(prefix)}

    def write(self, key, value, *, owner=None):
        self._reach()
        self.written.append((key, owner))
        self.keys[key] = value

    def progress(self, share):
        self._reach()
        self.share = share

    def shutdown(self, status, why):
        self._reach()
        self.ended = (status, why)


class Node:
    """A Ray node. ``script`` says for each start whether it becomes ready, and how it fails."""

    pid = None

    def __init__(self, clock, script):
        self.clock, self.script = clock, list(script)
        self.prepared, self.started, self.stopped = [], [], 0
        self._ready, self._why = False, "not started"

    def prepare(self):
        self.prepared.append(self.clock.now)

    def start(self, address):
        self.started.append((self.clock.now, address))
        self._ready, self._why = self.script.pop(0) if self.script else (True, None)

    def registered(self):
        return self._ready

    def failure(self):
        return self._why

    def gcs_port(self):
        return 6379

    def keep_closed(self):
        pass

    def stop(self):
        self.stopped += 1


class Gcs:
    strangers_refused = head_joined = True

    def __init__(self, address, token):
        assert token == "t" * 64

    def refuses_strangers(self):
        return self.strangers_refused

    def has_head(self):
        return self.head_joined

    def nodes(self):
        return [{"name": name, "node_id": f"id-{name}", "alive": True} for name in ("container_0", "container_1")]


class Clock:
    """Time that passes only when somebody sleeps; ``events`` happen at their moment."""

    def __init__(self):
        self.now, self.events = 1000.0, []

    def monotonic(self):
        return self.now

    time = monotonic

    def sleep(self, seconds):
        assert self.now < 5000, "it never ends"
        self.now += max(seconds, 0.01)
        for event in [event for event in self.events if event[0] <= self.now]:
            self.events.remove(event)
            event[1]()


def make(clock, master, script=(), *, head=False, lease=False, limits=None):
    role = "head" if head else "worker"
    state = store.NodeState("container_0", f"{role}_0", role, "n1", "10.0.0.1")
    node = Node(clock, script)
    wanted = {"workers": 1, "min_workers": 1} if head else None
    post = Post(master, state, clock.monotonic)
    return Supervisor(post, node, "t" * 64, wanted=wanted, lease=lease, limits=limits), node


def stop_at(clock, master, seconds):
    clock.events.append((clock.now + seconds, lambda: master.keys.pop(store.ALIVE + "container_0")))


def state_of(master):
    return store.NodeState.from_json(master.keys[store.NODE + "container_0"])
