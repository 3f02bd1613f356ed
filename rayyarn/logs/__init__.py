"""A cluster's logs: of one that runs from its nodes, of one that is over as YARN has collected them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rayyarn import hadoop, register
from rayyarn.errors import ClusterNotFound, JobNotFound, NotReady, UsageError, YarnUnreachable
from rayyarn.logs import container, following, text
from rayyarn.logs.aggregated import Aggregated, none_of
from rayyarn.logs.node_pages import NodePages
from rayyarn.rm import ResourceManager
from rayyarn.steps import SILENT, Reporter, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rayyarn.hadoop import Hadoop
    from rayyarn.logs.container import Container
    from rayyarn.yarn_report import App

# NodeManagers send what they have when the application ends: seconds, unless there is much of it.
_COLLECTED_LIMIT = 60.0
_FOLLOWED_LINES = 10  # of each file, before what comes: as tail -f does


@dataclass(frozen=True)
class Line:
    """A line of a log: ``node`` is head, worker-N, master, or yarn for what YARN itself says."""

    node: str
    file: str
    text: str


@dataclass(frozen=True)
class Logs:
    """What was asked for; ``lines`` come once. ``source``: nodes (the cluster runs) or aggregated (it is over)."""

    cluster: str
    application: str
    source: str
    lines: Iterator[Line]


def read(
    name: str,
    *,
    node: str | None = None,
    job: str | None = None,
    follow: bool = False,
    errors: bool = False,
    tail: int | None = None,
    hadoop_conf: str | None = None,
    reporter: Reporter = SILENT,
) -> Logs:
    """The logs of the cluster ``name`` that runs, else of the last one that did.

    ``node``: head, worker-N, master, a container's id, or a host. ``job``: what this one wrote, and nothing else.
    ``errors``: only the lines that tell of one. ``tail``: the last so many lines of each file. ``follow``: go on with
    what is written, until the cluster is over. Raises ClusterNotFound when YARN remembers none, UsageError for a node
    and JobNotFound for a job that is not there, YarnRefused when YARN has no logs of it.
    """
    only = f"{job}.log" if job else None
    node = "head" if job and node is None else node
    site = hadoop.find(hadoop_conf)
    rm = ResourceManager(site)
    app = register.find(rm, name) or _last(rm, name)
    if app is None:
        raise ClusterNotFound(
            f"YARN remembers no cluster named {name!r} of user {site.user}", hint="rayyarn status   # lists yours"
        )
    if app.live:
        there = container.of_live(site, rm, app, name)
        container.choose(there, node, name)  # a wrong name is told before anything is shown
        if follow:
            first = _FOLLOWED_LINES if tail is None else tail
            new = following.follow(site, rm, app, name, node=node, only=only, first=first)
            return Logs(name, app.id, "nodes", (Line(*one) for one in _sifted_as_they_come(new, errors=errors)))
        chosen = container.choose(there, node, name)
        return Logs(name, app.id, "nodes", _of_nodes(site, chosen, only, tail, errors, reporter))
    if follow:
        raise UsageError(f"{name} is over ({app.id}): nothing is written any more", hint=f"rayyarn logs {name}")
    return Logs(name, app.id, "aggregated", _collected(site, rm, app, node, only, tail, errors, reporter))


def tail(site: Hadoop, rm: ResourceManager, app: App, node: str, file: str) -> following.Tail:
    """A file of ``node`` of a live application, to be read as it grows."""
    name = register.name_of(app)
    (one,) = container.choose(container.of_live(site, rm, app, name), node, name)[-1:]
    return following.Tail(NodePages(site), one, file)


def _last(rm: ResourceManager, name: str) -> App | None:
    ended = rm.apps(tag=f"{register.TAG}-{name}", states=("FAILED", "KILLED", "FINISHED"))
    return ended[-1] if ended else None


def _of_nodes(
    site: Hadoop, containers: list[Container], only: str | None, tail: int | None, errors: bool, reporter: Reporter
) -> Iterator[Line]:
    pages = NodePages(site)
    for one in containers:
        if one.words and errors:
            yield from (Line("yarn", one.node, line) for line in one.words.splitlines() if line.strip())
        try:
            files = pages.files(one)
            if only and only not in files:
                raise _no_such_job(files, only)
            if not files:
                reporter.note(f"{one.node}: its NodeManager has no logs of {one.id} (yet, or any more)")
            if errors:
                yield from _errors(one, files, only, partial(pages.content, one, files), tail)
                continue
            for file in text.logs(files, only):
                length = files[file]
                _, data = pages.whole(one, file, length) if tail is None else pages.tail(one, file, length, tail)
                yield from _lines(one.node, file, text.last(_decoded(data), tail))
        except YarnUnreachable as error:  # a lost node: the others are wanted all the more
            reporter.note(f"{error.message}: {error.log}")


def _collected(
    site: Hadoop,
    rm: ResourceManager,
    app: App,
    node: str | None,
    only: str | None,
    tail: int | None,
    errors: bool,
    reporter: Reporter,
) -> Iterator[Line]:
    if errors and app.diagnostics and app.final != "SUCCEEDED":
        yield from (Line("yarn", app.id, line) for line in app.diagnostics.splitlines() if line.strip())
    _await_collection(rm, app, reporter)
    with contextlib.closing(Aggregated(site, app)) as found:
        for one in container.choose(container.ordered(found.containers()), node, register.name_of(app)):
            files = found.files(one)
            if only and only not in files:
                raise _no_such_job(files, only)
            if errors:
                yield from _errors(one, files, only, partial(found.whole, one), tail)
                continue
            for file in text.logs(files, only):
                yield from _lines(one.node, file, text.last(_decoded(found.whole(one, file)), tail))


def _await_collection(rm: ResourceManager, app: App, reporter: Reporter) -> None:
    """The NodeManagers may still be at it. A YARN that does not collect says so."""
    if app.log_aggregation == "DISABLED":
        raise none_of(app, "log aggregation is off (yarn.log-aggregation-enable)")

    def over() -> bool:
        now = rm.app(app.id)
        return now is None or now.log_aggregation not in ("NOT_START", "RUNNING")

    if over():
        return
    with (
        contextlib.suppress(NotReady),  # what there is already is better than nothing
        Steps(reporter) as steps,
        steps.step("YARN to collect the logs", limit=_COLLECTED_LIMIT) as step,
    ):
        step.wait(over, every=0.5)


def _no_such_job(files: Mapping[str, int], only: str) -> JobNotFound:
    there = ", ".join(sorted(file.removesuffix(".log") for file in files if file.startswith("job-"))) or "none"
    return JobNotFound(f"no job {only.removesuffix('.log')!r} has a log; there are: {there}")


def _errors(
    one: Container, files: Mapping[str, int], only: str | None, read: Callable[[str], bytes], tail: int | None
) -> Iterator[Line]:
    """What a container's files tell of errors until Ray was told to stop."""
    own = next((file for file in ("head.log", "worker.log") if file in files), None)
    until = text.stopped(read(own).decode(errors="replace")) if own else None
    for file in text.logs(files, only):
        if files[file]:
            yield from _lines(one.node, file, text.last(text.telling(_decoded(read(file)), until), tail))


def _decoded(data: bytes) -> list[str]:
    return data.decode(errors="replace").splitlines()


def _lines(node: str, file: str, lines: Iterable[str]) -> Iterator[Line]:
    return (Line(node, file, line) for line in lines)


def _sifted_as_they_come(new: Iterator[tuple[str, str, str]], *, errors: bool) -> Iterator[tuple[str, str, str]]:
    sieves: dict[tuple[str, str], text.Sieve] = {}
    for node, file, line in new:
        if not errors or sieves.setdefault((node, file), text.Sieve()).keeps(line):
            yield node, file, line
