"""What a library that answers at once returns to the command line."""

from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace


@dataclass(frozen=True)
class UpResult:
    name: str = "demo"
    application: str = "application_1_0001"
    address: str | None = "10.0.0.1:6379"
    connection_file: Path | None = Path("/home/me/demo.json")
    changed: bool = True
    state: str = "ready"
    workers: int = 2
    timeline: tuple[tuple[str, float, float], ...] = (("submit", 0.0, 1.5),)
    plan: dict[str, str] | None = None
    remarks: tuple[str, ...] = ()

    def to_dict(self):
        return asdict(self)


@dataclass(frozen=True)
class DownResult:
    stopped: tuple[SimpleNamespace, ...] = ()
    changed: bool = False

    def to_dict(self):
        return {"stopped": [vars(one) for one in self.stopped], "changed": self.changed}


@dataclass(frozen=True)
class StatusList:
    clusters: tuple[object, ...] = ()

    def to_dict(self):
        return {"clusters": list(self.clusters)}
