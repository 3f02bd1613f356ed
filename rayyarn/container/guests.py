"""What runs in the head's container beside Ray: the jobs, and the dashboard while somebody looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rayyarn.container.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rayyarn.container.dashboard import Dashboard
    from rayyarn.container.post import Post


class Guests:
    """Of one head; its supervisor looks after them once a second."""

    def __init__(self, jobs: Jobs, dashboard: Dashboard) -> None:
        self._jobs, self._dashboard = jobs, dashboard

    @classmethod
    def of_head(cls, post: Post, folder: Path, logs: Path, environ: Mapping[str, str], told: dict[str, Any]) -> Self:
        """Those of the head in ``folder``; ``told``: what its container was told."""
        from rayyarn.container.dashboard import Dashboard  # no worker needs it

        jobs = Jobs(post, folder, logs, environ, size=post.state.memory, room=told["heap"])
        users = told.get("viewers", ())
        return cls(jobs, Dashboard(post, jobs, folder, logs, environ, users=users))

    @property
    def pids(self) -> set[int]:
        """The processes whose exit status is waited for here."""
        return self._jobs.pids | self._dashboard.pids

    @property
    def work(self) -> bool:
        """True while a job runs; a dashboard that is looked at is no work."""
        return bool(self._jobs.pids)

    def expect(self) -> None:
        """Before Ray is started: have the dashboard's address known, so that who is told of the cluster finds it."""
        self._dashboard.link()

    def look(self) -> None:
        """The dashboard first: one that goes makes room before a job is ended for want of it."""
        self._dashboard.look()
        self._jobs.look()
