"""Write the list of jars of the mini cluster anew: ``python envs/mini/pin_jars.py 3.5.0 > rayyarn/mini/jars.txt``.

Needed once per Hadoop version. Resolves what the daemons, the ``yarn`` and ``hdfs`` commands and Skein's
ApplicationMaster load, with jgo (pure Python), leaves out what none of them can use, and prints one line per jar:
sha256, size in bytes, Maven coordinates.
"""

from __future__ import annotations

import fnmatch
import hashlib
import sys
import tempfile
from pathlib import Path

ROOTS = [
    *(
        f"org.apache.hadoop:hadoop-{part}:{{version}}"
        for part in (
            "yarn-server-resourcemanager",
            "yarn-server-nodemanager",
            "yarn-server-timelineservice",  # the ResourceManager's TimelineCollectorManager
            "yarn-server-web-proxy",  # the ApplicationMaster's AmIpFilter
            "yarn-client",
            "common",
            "hdfs",
            "hdfs-client",
            "mapreduce-client-core",  # Skein's TokenCache
        )
    ),
    "org.slf4j:slf4j-reload4j:1.7.36",  # of runtime scope in Hadoop's POMs: without it the daemons do not log
]

# Left out: test and code generation libraries that jgo's resolution brings, databases and caches of YARN federation,
# netty for other systems, netty protocols that nothing speaks. The tests in
# tests/yarn/test_mini.py run every daemon and the commands of a person without them.
UNUSED = [
    "mockito-*", "byte-buddy*", "objenesis-*", "jsonschema2pojo-*", "codemodel-*", "mssql-jdbc-*", "HikariCP-*",
    "ehcache-*", "cache-api-*", "fst-*", "netty-*-osx-*", "netty-*-linux-aarch_64.jar", "netty-*-linux-riscv64.jar",
    "netty-resolver-dns-classes-macos-*", "netty-transport-classes-kqueue-*", "netty-transport-rxtx-*",
    "netty-transport-sctp-*", "netty-transport-udt-*", "netty-codec-mqtt-*", "netty-codec-redis-*",
    "netty-codec-memcache-*", "netty-codec-smtp-*", "netty-codec-stomp-*", "netty-codec-haproxy-*",
    "netty-codec-xml-*", "netty-handler-ssl-ocsp-*",
]  # fmt: skip


def main(version: str) -> None:
    """Print the list for Hadoop ``version``."""
    import jgo
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as cache:
        roots = "+".join(ROOTS).format(version=version)
        names = {Path(jar).name for jar in jgo.build(roots, cache_dir=Path(cache)).all_jars}
    repository = MavenContext().repo_cache
    print(f"# Hadoop {version} for the mini cluster: sha256, bytes, Maven coordinates. Made by envs/mini/pin_jars.py.")
    for jar in sorted(repository.rglob("*.jar"), key=lambda path: path.relative_to(repository).as_posix()):
        if jar.name in names and not any(fnmatch.fnmatch(jar.name, pattern) for pattern in UNUSED):
            *group, artifact, release = jar.parent.relative_to(repository).parts
            classifier = jar.stem.removeprefix(f"{artifact}-{release}").lstrip("-")
            coordinates = ":".join([".".join(group), artifact, release, *([classifier] if classifier else [])])
            print(hashlib.sha256(jar.read_bytes()).hexdigest(), jar.stat().st_size, coordinates)


if __name__ == "__main__":
    main(sys.argv[1])
