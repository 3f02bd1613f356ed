"""What one ``up`` did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class UpResult:
    """What ``up`` did. ``plan`` is the application document of a dry run; ``timeline`` in seconds since the start."""

    name: str
    application: str | None
    address: str | None
    connection_file: str | None
    changed: bool
    state: str
    workers: int
    timeline: tuple[tuple[str, float, float], ...] = ()
    plan: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)
