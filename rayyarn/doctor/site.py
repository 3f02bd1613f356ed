"""The Hadoop configuration that this edge has, the client that goes with it, and the default file system."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from rayyarn import filesystem
from rayyarn.doctor.finding import NOTE, OK, PROBLEM, Finding, of_error
from rayyarn.errors import HadoopUnusable, RayYarnError
from rayyarn.filesystem import DoorClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.doctor.facts import Facts


def configuration(facts: Facts) -> Iterator[Finding]:
    """Which folder was taken, and why."""
    name, subject = "hadoop_conf", "Hadoop configuration"
    try:
        site = facts.site.outcome()
    except RayYarnError as error:
        yield of_error(name, subject, error, "rayyarn does not know which YARN is meant")
        return
    text = f"{site.conf_dir} (from {site.origin})"
    if site.secure:
        yield Finding(name, subject, PROBLEM, f"{text}, with Kerberos", "clusters with Kerberos are not supported yet")
        return
    yield Finding(name, subject, OK, f"{text}, as {site.user}")


def default_fs(facts: Facts) -> Iterator[Finding]:
    """The file system that everything is shipped to."""
    site = facts.site.get()
    try:
        site.check()
    except HadoopUnusable as error:
        yield of_error("default_fs", "fs.defaultFS", error, "nothing can be shipped to the nodes")
        return
    yield Finding("default_fs", "fs.defaultFS", OK, site.default_fs)


def client(facts: Facts) -> Iterator[Finding]:
    """The jars that a submit needs."""
    site = facts.site.get()
    program = site.program()
    if program is not None:
        yield Finding("hadoop_client", "Hadoop client", OK, str(program))
    elif find_spec("pyspark") is not None:
        yield Finding("hadoop_client", "Hadoop client", OK, "the jars inside the installed pyspark; no yarn program")
    else:
        text = f"no `yarn` or `hadoop` program on PATH or in HADOOP_HOME to go with {site.conf_dir}"
        fix = "export HADOOP_HOME=/opt/hadoop   # or: pip install pyspark"
        yield Finding("hadoop_client", "Hadoop client", PROBLEM, text, "nothing can be submitted to YARN", fix)


def file_system(facts: Facts) -> Iterator[Finding]:
    """Whether the default file system answers, and has a home for this user."""
    name, subject, site = "file_system", "file system", facts.site.get()
    if site.default_fs.startswith("file:") or not site.default_fs:
        return  # said of fs.defaultFS already
    unusable = "nothing can be shipped to the nodes"
    try:
        fs = filesystem.open(site, jvm=False)
        there, parent = fs.stats([site.home, site.home.rsplit("/", 1)[0] or "/"])
    except DoorClosed as error:
        yield Finding(name, subject, NOTE, error.message, "not looked at further; each transfer takes seconds more",
                      f"hdfs dfs -ls -d {site.default_fs}{site.home}")  # fmt: skip
        return
    except RayYarnError as error:
        yield of_error(name, subject, error, unusable)
        return
    if there is not None:
        yield Finding(name, subject, OK, f"{fs.root} answers; {site.home} is there")
        return
    text = f"{fs.root} answers; there is no {site.home}"
    if fs.cheap or (parent is not None and parent.mode & 0o002):
        yield Finding(name, subject, OK, f"{text}, it is made when it is needed")
        return
    fix = f"hdfs dfs -mkdir -p {site.home} && hdfs dfs -chown {site.user} {site.home}   # as HDFS's own user"
    yield Finding(name, subject, PROBLEM, text, unusable, fix)
