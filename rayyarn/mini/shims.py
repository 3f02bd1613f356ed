"""The ``yarn``, ``hdfs`` and ``hadoop`` commands of the mini cluster: small shell scripts over the same jars."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_YARN = "org.apache.hadoop.yarn.client.cli."
# Command -> main class, and the words that class wants before the user's own. As in Hadoop's own bin/ scripts.
COMMANDS = {
    "yarn": {
        "app|application": f"{_YARN}ApplicationCLI application",
        "applicationattempt": f"{_YARN}ApplicationCLI applicationattempt",
        "container": f"{_YARN}ApplicationCLI container",
        "cluster": f"{_YARN}ClusterCLI",
        "logs": f"{_YARN}LogsCLI",
        "node": f"{_YARN}NodeCLI",
        "queue": f"{_YARN}QueueCLI",
        "rmadmin": f"{_YARN}RMAdminCLI",
        "jar": "org.apache.hadoop.util.RunJar",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
    "hdfs": {
        "dfs": "org.apache.hadoop.fs.FsShell",
        "dfsadmin": "org.apache.hadoop.hdfs.tools.DFSAdmin",
        "fsck": "org.apache.hadoop.hdfs.tools.DFSck",
        "getconf": "org.apache.hadoop.hdfs.tools.GetConf",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
    "hadoop": {
        "fs": "org.apache.hadoop.fs.FsShell",
        "jar": "org.apache.hadoop.util.RunJar",
        "conf": "org.apache.hadoop.conf.ConfTool",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
}

_SCRIPT = """\
#!/bin/sh
# {program} of a rayyarn mini cluster.
if [ "$1" = --config ]; then HADOOP_CONF_DIR=$2; shift 2; fi
conf=${{HADOOP_CONF_DIR:-{conf}}}
jars={jars}
command=${{1-}}
[ $# -gt 0 ] && shift
case $command in
{cases}
  classpath)
    if [ "${{1-}}" = --glob ]; then
      set -- "$jars"/*.jar
      (IFS=:; printf '%s\\n' "$conf${{HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}}:$*")
    else
      printf '%s\\n' "$conf${{HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}}:$jars/*"
    fi
    exit 0 ;;
  *.*) class=$command ;;
  *)
    echo "usage: {program} {names}|classpath [ARGS], or a class name" >&2
    echo "this is the {program} of a rayyarn mini cluster; other commands need a whole Hadoop" >&2
    exit 2 ;;
esac
path=$conf
if [ "$conf" = {conf} ] && [ "$class" = org.apache.hadoop.fs.FsShell ]; then path={shell}:$conf; fi
if [ -n "${{JAVA_HOME-}}" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; else java={java}; fi
HADOOP_CONF_DIR=$conf
export HADOOP_CONF_DIR
exec "$java" {flags} ${{HADOOP_OPTS-}} ${{HADOOP_CLIENT_OPTS-}} \\
  -cp "$path${{HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}}:$jars/*" $class "$@"
"""


def script(program: str, *, conf: Path, jars: Path, java: Path, flags: list[str]) -> str:
    """The shell script called ``program``."""
    cases = "\n".join(f"  {names}) class='{target}' ;;" for names, target in COMMANDS[program].items())
    return _SCRIPT.format(
        program=program,
        names="|".join(COMMANDS[program]),
        cases=cases,
        conf=shlex.quote(str(conf)),
        shell=shlex.quote(f"{conf}-shell"),
        jars=shlex.quote(str(jars)),
        java=shlex.quote(str(java)),
        flags=" ".join(flags),
    )
