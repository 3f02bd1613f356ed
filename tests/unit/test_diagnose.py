"""Each row with a sample of its text: Hadoop 3.5.0, skein 0.8.2, Java 17, Python 3.11.

Most were seen on a real YARN (ids and paths shortened). Not seen yet, but put together from the constants in Hadoop's
classes or from its documentation: queue-stopped, queue-full, queue-forbidden, kerberos, home-missing, not-permitted,
disk-full, node-lost, python-missing, master-failed, and YARN's own long form of the two memory rows. Of java-too-old
the class names are made up. Replace each by the real text when it is met.
"""

import re

import pytest

from rayyarn import diagnose, errors

LIMIT = (
    "Invalid resource request! Cannot allocate containers as requested resource is greater than maximum allowed "
    "allocation. Requested resource type=[{kind}], Requested resource=<{asked}>, maximum allowed "
    "allocation=<memory:9000, vCores:4>, please note that maximum allowed allocation is calculated by scheduler based "
    "on maximum resource of registered NodeManagers, which might be less than configured maximum "
    "allocation=<memory:9000, vCores:4>"
)
SUBMIT = "Failed to submit application, exception:\n"
TRACE = (
    "\n\tat org.apache.hadoop.yarn.server.resourcemanager.scheduler.SchedulerUtils.throwInvalidResourceException"
    "(SchedulerUtils.java:527)"
)
AM_LIMIT = (
    "[Sun Nov 22 14:46:50 +0000 2026] Application is added to the scheduler and is not yet activated. Queue's AM "
    "resource limit exceeded.  Details : AM Partition = <DEFAULT_PARTITION>; AM Resource Request = <memory:8704, "
    "vCores:1>; Queue Resource Limit for AM = <memory:9024, vCores:8>; User AM Resource Limit of the queue = "
    "<memory:9024, vCores:8>; Queue AM Resource Usage = <memory:8704, vCores:1>;"
)
REFUSED = (
    SUBMIT + "Call From vm/127.0.0.1 to localhost:8032 failed on connection exception: java.net.ConnectException: "
    "Connection refused; For more details see:  http://wiki.apache.org/hadoop/ConnectionRefused"
)
NO_HOST = (
    SUBMIT + 'Invalid host name: local host is: "vm/127.0.0.1"; destination host is: "rm.nowhere.invalid":8032; '
    "java.net.UnknownHostException: Invalid host name; For more details see:  http://wiki.apache.org/hadoop/UnknownHost"
)
OLD_JAVA = (
    "Error: LinkageError occurred while loading main class com.anaconda.skein.Driver\n"
    "\tjava.lang.UnsupportedClassVersionError: org/apache/hadoop/conf/Configuration has been compiled by a more recent "
    "version of the Java Runtime (class file version 61.0), this version of the Java Runtime only recognizes class "
    "file versions up to 55.0\n"
)
CHANGED = (
    "[2026-11-22 14:47:04.718]Resource viewfs://mini/user/me/x.txt changed on src filesystem - expected: "
    '"2026-11-22T14:46:47.335+0000", was: "2026-11-22T14:46:50.555+0000", current time: "2026-11-22T14:47:04.712+0000"'
    "\njava.io.IOException: Resource viewfs://mini/user/me/x.txt changed on src filesystem"
)
UNPACK = (
    "[2026-11-22 14:47:04.007]\njava.lang.reflect.UndeclaredThrowableException\n\tat org.apache.hadoop.yarn.util."
    "FSDownload.call(FSDownload.java:430)\nCaused by: org.apache.hadoop.yarn.exceptions.YarnException: Download and "
    "unpack failed\nCaused by: java.io.IOException: Error executing command. gzip -dc | (cd '/data/local/usercache/me/"
    "appcache/application_1_0020/filecache/17_tmp/bad.tar.gz' && tar -x ) Process exited with exit code 2."
)
BEYOND = (
    "Application application_1_0007 failed 1 times (global limit =2; local limit is =1) due to AM Container for "
    "appattempt_1_0007_000001 exited with  exitCode: -104\nFailing this attempt.Diagnostics: "
    "[2026-11-22 14:47:04.007]Container [pid=22188,containerID=container_1_0007_01_000001] is running 12345678B beyond "
    "the 'PHYSICAL' memory limit. Current usage: 267.8 MB of 256 MB physical memory used; 2.7 GB of 537.6 MB virtual "
    "memory used. Killing container."
)
VIRTUAL = BEYOND.replace("'PHYSICAL'", "'VIRTUAL'")
NO_MODULE = (
    "the Ray head does not start: ray start ended with 1: environment/bin/python: Error while finding module "
    "specification for 'ray.scripts.scripts' (ModuleNotFoundError: No module named 'ray')"
)
TO_YARN = SUBMIT + "Failed to submit application_1_0012 to YARN : "
MASTER_DIED = (
    "Application application_1_0003 failed 1 times (global limit =2; local limit is =1) due to AM Container for "
    "appattempt_1_0003_000001 exited with  exitCode: 1\nFailing this attempt.Diagnostics: [2026-11-22 14:47:04.007]"
    "Exception from container-launch.\nContainer id: container_1_0003_01_000001\nExit code: 1"
)
SAMPLES = [
    ("too-large", LIMIT.format(kind="memory-mb", asked="memory:921600, vCores:1"),
     "a container of <memory:921600, vCores:1> was asked for, and the largest that YARN can give is <memory:9000, "
     "vCores:4>: too much memory-mb", errors.RequestTooLarge),
    ("too-large", "Failure in container allocator:\n" + LIMIT.format(kind="vcores", asked="memory:256, vCores:500")
     + TRACE, "a container of <memory:256, vCores:500> was asked for, and the largest that YARN can give is "
     "<memory:9000, vCores:4>: too much vcores", errors.RequestTooLarge),
    ("resource-unknown", "Resource 'yarn.io/gpu' is not defined in your cluster's configuration",
     "this YARN knows no resource yarn.io/gpu: its nodes have none, or do not announce them", errors.YarnRefused),
    ("queue-unknown", TO_YARN + "Application application_1_0012 submitted by user rootApplication application_1_0012 "
     "submitted by user root to unknown queue: nosuch", "YARN has no queue named 'nosuch'", errors.YarnRefused),
    ("queue-is-parent", TO_YARN + "Application application_1_0013 submitted by user : root to non-leaf queue : root",
     "'root' is a parent queue: applications go into one of the queues below it", errors.YarnRefused),
    ("queue-stopped", TO_YARN + "org.apache.hadoop.security.AccessControlException: Queue root.etl is STOPPED. Cannot "
     "accept submission of application: application_1_0012",
     "queue 'root.etl' is stopped and takes no applications", errors.YarnRefused),
    ("queue-full", TO_YARN + "org.apache.hadoop.security.AccessControlException: Queue root.etl already has 7000 "
     "applications, cannot accept submission of application: application_1_0012",
     "queue 'root.etl' has 7000 applications and takes no more", errors.YarnRefused),
    ("queue-forbidden", "User me does not have permission to submit application_1_0012 to queue etl",
     "user me may not use queue 'etl'", errors.YarnRefused),
    ("master-limit", AM_LIMIT, "the queue's share for application masters is used up: <memory:8704, vCores:1> asked, "
     "<memory:8704, vCores:1> of <memory:9024, vCores:8> in use", errors.NotReady),
    ("java-too-old", OLD_JAVA, "this Java is 11, and the jars it has to load need Java 17 "
     "(org/apache/hadoop/conf/Configuration)", errors.JavaNotFound),
    ("local-default-fs", SUBMIT + 'Cannot invoke "String.equals(Object)" because "srcHost" is null',
     "fs.defaultFS is a local file system: containers on other machines cannot read this machine's files",
     errors.HadoopUnusable),
    ("rm-refuses", REFUSED, "nobody answers at localhost:8032: a Hadoop daemon is down, or the configuration names "
     "the wrong address", errors.YarnUnreachable),
    ("host-unknown", NO_HOST, "the host name rm.nowhere.invalid (port 8032) of the Hadoop configuration cannot be "
     "resolved on this machine", errors.YarnUnreachable),
    ("kerberos", SUBMIT + "SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]",
     "this Hadoop takes Kerberos users only, and this edge came without a ticket", errors.YarnRefused),
    ("home-missing", SUBMIT + 'Permission denied: user=ann, access=WRITE, inode="/user":hdfs:supergroup:drwxr-xr-x',
     "user ann has no home folder on the default file system, and may not make one in /user", errors.StagingFailed),
    ("not-permitted", 'Permission denied: user=ann, access=READ, inode="/data/x.tar.gz":bob:staff:-rw-------',
     "user ann has no READ permission on /data/x.tar.gz", errors.StagingFailed),
    ("disk-full", "[2026-11-22 14:47:04.718]java.io.IOException: No space left on device",
     "a disk is full: nothing more can be unpacked or written there", errors.ClusterFailed),
    ("disk-full", "org.apache.hadoop.util.DiskChecker$DiskErrorException: No space available in any of the local "
     "directories.", "a disk is full: nothing more can be unpacked or written there", errors.ClusterFailed),
    ("file-changed", CHANGED, "viewfs://mini/user/me/x.txt was changed after the cluster was submitted, and YARN takes "
     "no other version of it", errors.ClusterFailed),
    ("unpack-failed", UNPACK, "a node could not unpack bad.tar.gz: it is damaged, or not what its name says",
     errors.ClusterFailed),
    ("virtual-memory", VIRTUAL, "YARN killed a container for its virtual memory, 2.7 GB of 537.6 MB: Ray maps far more "
     "than it uses", errors.ClusterFailed),
    ("virtual-memory", "2.7 GB of 537.6 MB virtual memory used", "YARN killed a container for its virtual memory, "
     "2.7 GB of 537.6 MB: Ray maps far more than it uses", errors.ClusterFailed),
    ("memory", "714.7 MB of 256 MB physical memory used",
     "YARN killed a container for its memory: 714.7 MB of 256 MB used", errors.ClusterFailed),
    ("memory", BEYOND, "YARN killed a container for its memory: 267.8 MB of 256 MB used", errors.ClusterFailed),
    ("module-missing", NO_MODULE, "the environment has no module ray", errors.EnvironmentUnusable),
    ("python-missing", ".skein.sh: line 5: environment/bin/python: No such file or directory",
     "there is no bin/python in the unpacked environment: it is no packed conda environment",
     errors.EnvironmentUnusable),
    ("node-lost", "Container released on a *lost* node", "the node of a container was lost", errors.ClusterFailed),
    ("head-ended", "Failure in service head, see logs for more information.",
     "the head's container ended before it could say why: it did not start, or YARN killed it for its memory",
     errors.ClusterFailed),
    ("container-ended", "Container failed during execution, see logs for more information.",
     "containers end before Ray runs in them; their log says why", errors.ClusterFailed),
    ("master-failed", MASTER_DIED, "the application master ended with exit code 1", errors.ClusterFailed),
    ("master-silent", "AM container is launched, waiting for AM container to Register with RM",
     "the application master's container was started and the master has not reported to YARN: its log knows; on a "
     "home-made Hadoop a jar may be missing from yarn.application.classpath (hadoop-yarn-server-web-proxy)",
     errors.NotReady),
]  # fmt: skip


@pytest.mark.parametrize(("row", "text", "message", "kind"), SAMPLES, ids=lambda value: None)
def test_a_real_text_is_said_plainly(row, text, message, kind):
    error = diagnose.explain(text, app_id="application_1_0007")
    assert error is not None
    assert (error.message, type(error)) == (message, kind)
    assert error.log
    assert error.log in text
    assert "\n" not in error.log
    assert error.hint
    assert "{" not in error.hint


def test_every_row_has_a_sample_that_reaches_it():
    """A row that another one hides would never speak."""
    reached = set()
    for row, text, message, _ in SAMPLES:
        reached.add(row)
        first = next(known for known in diagnose.ROWS if re.search(known.pattern, text))
        assert first.id == row, message
    assert reached == {row.id for row in diagnose.ROWS}
    assert len({row.id for row in diagnose.ROWS}) == len(diagnose.ROWS)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Failure in service head, see logs for more information.",
         "yarn logs -applicationId application_1_0007 -log_files head.log"),
        (OLD_JAVA, "export JAVA_HOME=...   # a Java 17 or newer"),
        (SAMPLES[14][1], "hdfs dfs -mkdir -p /user/ann && hdfs dfs -chown ann /user/ann   # as HDFS's own user"),
        (SAMPLES[5][1], "yarn queue -status root.etl"),
    ],
)  # fmt: skip
def test_hints_are_filled_in(text, hint):
    error = diagnose.explain(text, app_id="application_1_0007")
    assert error is not None
    assert error.hint == hint


@pytest.mark.parametrize("text", ["", "Application completed successfully.", "stopped by `rayyarn down`"])
def test_what_no_row_knows_is_left_alone(text):
    assert diagnose.explain(text) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("one\ntwo", "one"),
        ("[2026]\njava.io.IOException: gone\nCaused by: x.Exception: y", "java.io.IOException: gone"),
        (SUBMIT + "chmod: cannot access '/proc/w'", "chmod: cannot access '/proc/w'"),
        (SUBMIT, "Failed to submit application, exception:"),
    ],
)
def test_the_telling_line(text, line):
    assert diagnose.telling_line(text) == line
