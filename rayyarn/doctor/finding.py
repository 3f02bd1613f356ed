"""What an examination finds: a verdict, what it means for rayyarn, and the line that mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayyarn.errors import RayYarnError

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``verdict``: ok, note (works, but know this) or problem (rayyarn cannot work so).

    ``means`` is what follows for rayyarn, ``fix`` one line to paste or to hand to whoever runs the cluster.
    """

    id: str
    subject: str
    verdict: str
    text: str
    means: str = ""
    fix: str = ""


@dataclass(frozen=True)
class DoctorResult:
    """All findings, in the order from this machine to the nodes; ``seconds`` that it took."""

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Those for which something has to change."""
        return tuple(one for one in self.findings if one.verdict == PROBLEM)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Those that are good to know."""
        return tuple(one for one in self.findings if one.verdict == NOTE)

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return {
            "verdict": PROBLEM if self.problems else NOTE if self.notes else OK,
            "seconds": round(self.seconds, 3),
            "findings": [asdict(one) for one in self.findings],
        }


def of_error(name: str, subject: str, error: RayYarnError, means: str = "") -> Finding:
    """The problem that ``error`` tells of."""
    text = error.message + (f" ({error.log})" if error.log else "")
    return Finding(name, subject, PROBLEM, text, means, error.hint or "")
