"""What can go wrong, as exceptions that say what happened, why, and what to type next.

Every error has a stable ``code`` (documented in docs/troubleshooting.md) and the ``exit_code`` that the command
line ends with. The message is one sentence; ``log`` is the line of foreign output that proves it; ``hint`` is one
line to paste.
"""

from __future__ import annotations


class RayYarnError(Exception):
    """Base of all errors that rayyarn raises on purpose."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, log: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log

    def to_dict(self) -> dict[str, str | None]:
        """The error as the ``--json`` envelope carries it."""
        return {"code": self.code, "message": self.message, "log": self.log, "hint": self.hint}


class SpecError(RayYarnError):
    """Settings that cannot work, all of them together; known without asking the cluster."""

    code, exit_code = "bad_spec", 2

    def __init__(self, problems: list[str], *, hint: str | None = None) -> None:
        self.problems = problems
        text = problems[0] if len(problems) == 1 else "\n  - ".join([f"{len(problems)} problems:", *problems])
        super().__init__(text, hint=hint)


class UsageError(RayYarnError):
    """A call or command that makes no sense whatever the cluster says."""

    code, exit_code = "bad_usage", 2


class HomeUnusable(RayYarnError):
    """The folder for rayyarn's own files cannot be made or written."""

    code, exit_code = "home_unusable", 2


class HadoopNotFound(RayYarnError):
    """No Hadoop configuration on this machine."""

    code, exit_code = "hadoop_not_found", 2


class HadoopUnusable(RayYarnError):
    """A Hadoop configuration with which no YARN application can run."""

    code, exit_code = "hadoop_unusable", 2


class JavaNotFound(RayYarnError):
    """No Java, or one too old for the jars it has to load."""

    code, exit_code = "java_not_found", 2


class EnvironmentUnusable(RayYarnError):
    """The Python environment cannot be shipped, or Ray cannot run in it."""

    code, exit_code = "environment_unusable", 2


class StagingFailed(RayYarnError):
    """Something could not be put on the default file system."""

    code, exit_code = "staging_failed", 1


class YarnUnreachable(RayYarnError):
    """No ResourceManager answered."""

    code, exit_code = "yarn_unreachable", 1


class YarnRefused(RayYarnError):
    """YARN answered, and the answer was no."""

    code, exit_code = "yarn_refused", 1


class RequestTooLarge(RayYarnError):
    """A container was asked for that no node, or not this queue, can ever hold."""

    code, exit_code = "request_too_large", 1


class HostsUnusable(RayYarnError):
    """Hosts, racks or a node label were asked for that this YARN does not have, or not now."""

    code, exit_code = "hosts_unusable", 1


class SparkAppNotFound(RayYarnError):
    """The Spark application to be beside does not run, runs no executor, or is not the only one of its name."""

    code, exit_code = "spark_app_not_found", 1


class ClusterDiffers(RayYarnError):
    """A cluster of that name runs with other settings."""

    code, exit_code = "cluster_differs", 1


class ClusterRuns(RayYarnError):
    """A cluster of that name runs already, and a run wants one of its own."""

    code, exit_code = "cluster_runs", 1


class ClusterFailed(RayYarnError):
    """The application ended, or a part of it that nothing replaces."""

    code, exit_code = "cluster_failed", 1


class ClusterNotFound(RayYarnError):
    """No cluster of that name in YARN."""

    code, exit_code = "cluster_not_found", 3


class JobNotFound(RayYarnError):
    """No job of that id in the cluster."""

    code, exit_code = "job_not_found", 3


class DashboardRefused(RayYarnError):
    """Ray's dashboard cannot be had: no room beside the head, no right to it, or no way to it."""

    code, exit_code = "dashboard_refused", 1


class NotReady(RayYarnError):
    """Not usable within the time allowed."""

    code, exit_code = "not_ready", 4


class ConnectionUnusable(RayYarnError):
    """A connection file that cannot be read, or that does not fit this program."""

    code, exit_code = "connection_unusable", 1


class ExchangeRefused(RayYarnError):
    """Data that cannot go between Spark and Ray as asked; known before any job starts."""

    code, exit_code = "exchange_refused", 2


class ExchangeFailed(RayYarnError):
    """Data did not get from Spark to Ray, or back; what had arrived is freed."""

    code, exit_code = "exchange_failed", 1


class Unfit(RayYarnError):
    """`rayyarn doctor` found something with which rayyarn cannot work."""

    code, exit_code = "unfit", 1


class MiniFailed(RayYarnError):
    """A daemon of the mini cluster did not start, or died."""

    code, exit_code = "mini_failed", 1


class Interrupted(RayYarnError):
    """A signal ended the command; its undo has run."""

    code, exit_code = "interrupted", 130

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by signal {signum}")
        self.exit_code = 128 + signum
