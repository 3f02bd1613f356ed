"""``rayyarn mini``: a real small Hadoop on this machine."""

from __future__ import annotations

import shlex

import click

from rayyarn_cli import output

_name = click.option("--name", default="default", show_default=True, metavar="NAME", help="Which mini cluster.")


@click.group("mini")
def command() -> None:
    """Run a real small Hadoop on this machine.

    A ResourceManager and NodeManagers as ordinary processes of yours: no root, no docker, no Hadoop to install.
    It needs Java 17 or newer.
    """


@command.command("up")
@_name
@click.option("--nodes", type=int, default=2, show_default=True, metavar="N", help="How many NodeManagers.")
@click.option("--memory", metavar="SIZE", help="Memory of each node. Default: what fits the machine.")
@click.option("--cpus", type=int, metavar="N", help="Vcores of each node. Default: what fits the machine.")
@click.option("--hdfs", is_flag=True, help="Run a NameNode and a DataNode too; else files lie in a folder.")
@output.options
def up(out: output.Output, name: str, nodes: int, memory: str | None, cpus: int | None, hdfs: bool) -> None:
    """Start it and wait until all its nodes are running.

    Safe to repeat: one that runs is left as it is, and a daemon of it that died is started again. The first time it
    fetches Hadoop, 96 MiB, from Maven Central.
    """
    from rayyarn.mini import cluster

    made = cluster.up(name, nodes=nodes, memory=memory, cpus=cpus, hdfs=hdfs, reporter=out.reporter)
    if not made.changed:
        out.note(f"the mini cluster {name!r} is already up")
    out.result(made, table=output.Table(["NAME", "WEB", "CONF"], [(made.name, f"http://{made.rm_web}", made.conf_dir)]))
    out.note(f'for yarn and hdfs in this shell:  eval "$(rayyarn mini env{_flag(name)})"')


@command.command("down")
@_name
@click.option("--keep-files", is_flag=True, help="Keep its files for the next `mini up`.")
@output.options
def down(out: output.Output, name: str, keep_files: bool) -> None:
    """Stop it with everything that runs on it, and remove its files.

    Safe to repeat: when there is none of that name, it says so and ends with 0.
    """
    from rayyarn.mini import cluster

    gone = cluster.down(name, keep_files=keep_files, reporter=out.reporter)
    if not gone.changed:
        nothing = f"there is no mini cluster {name!r}: nothing to stop"
        out.note(f"the mini cluster {name!r} is stopped already" if gone.files else nothing)
    if gone.files:
        out.note(f"its files stay in {gone.files}; to remove them:  rayyarn mini down{_flag(name)}")
    out.result(gone)


@command.command("status")
@click.option("--name", metavar="NAME", help="Show this one alone, with its daemons.")
@output.options
def status(out: output.Output, name: str | None) -> None:
    """Show what runs, and what a dead daemon said last."""
    from rayyarn.mini import cluster

    found = cluster.status(name)
    if not found.clusters:
        out.note("no mini cluster here; this starts one: rayyarn mini up")
    headings = ["NAME", "STATE", "DAEMON", "HOST", "PID", "ALIVE", "LAST WORDS"]
    rows = [
        (one.name, one.state, daemon.role, daemon.host, str(daemon.pid), _yes(daemon.alive), daemon.last_words or "-")
        for one in found.clusters
        for daemon in one.daemons
    ] + [(one.name, one.state, "-", "-", "-", "-", "-") for one in found.clusters if not one.daemons]
    out.result(found, table=output.Table(headings, rows) if rows else None)


@command.command("env")
@_name
@output.options
def env(out: output.Output, name: str) -> None:
    """Print what makes a shell use it: eval "$(rayyarn mini env)".

    HADOOP_CONF_DIR, YARN_CONF_DIR, and a PATH with its `yarn`, `hdfs` and `hadoop` commands.
    """
    from rayyarn.mini import cluster

    variables = cluster.environ(name)
    out.result(variables, text="\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()))


def _flag(name: str) -> str:
    return "" if name == "default" else f" --name {name}"


def _yes(alive: bool) -> str:
    return "yes" if alive else "no"
