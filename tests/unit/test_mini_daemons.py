import pytest

from rayyarn.mini import daemons, machine

PORT_TAKEN = """\
2026-01-05 10:00:01,000 INFO ResourceManager: STARTUP_MSG:
2026-01-05 10:00:02,000 ERROR ResourceManager: Error starting ResourceManager
org.apache.hadoop.yarn.exceptions.YarnRuntimeException: java.io.IOException: Problem starting http server
\tat org.apache.hadoop.yarn.webapp.WebApps$Builder.start(WebApps.java:497)
Caused by: java.io.IOException: Problem starting http server
\tat org.apache.hadoop.http.HttpServer2.start(HttpServer2.java:1234)
\t... 4 more
Caused by: java.net.BindException: Port in use: 127.70.3.1:8088
\tat org.apache.hadoop.http.HttpServer2.constructBindException(HttpServer2.java:1)
\t... 6 more
2026-01-05 10:00:02,100 INFO ResourceManager: SHUTDOWN_MSG:
/************************************************************
SHUTDOWN_MSG: Shutting down ResourceManager at host/127.0.1.1
************************************************************/
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PORT_TAKEN, "Caused by: java.net.BindException: Port in use: 127.70.3.1:8088"),
        ("Error: Could not find or load main class org.X\n", "Error: Could not find or load main class org.X"),
        (
            "Error: LinkageError occurred while loading main class\n\tjava.lang.UnsupportedClassVersionError: org/X has"
            " been compiled by a more recent version (class file version 61.0)\n",
            "java.lang.UnsupportedClassVersionError: org/X has been compiled by a more recent version (class file "
            "version 61.0)",
        ),
        ("2026 INFO A: one\n2026 INFO A: two\n\n", "2026 INFO A: two"),
        ("2026 ERROR A: disk full\n2026 INFO A: bye\n", "2026 ERROR A: disk full"),
        ("", ""),
    ],
)
def test_the_last_words_are_the_line_that_says_why(tmp_path, text, words):
    log = tmp_path / "rm.log"
    log.write_text(text)
    assert daemons.last_words(log) == words


def test_a_log_that_is_not_there_says_nothing(tmp_path):
    assert daemons.last_words(tmp_path / "none.log") == ""


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    log = tmp_path / "nm1.log"
    log.write_text("2026 ERROR A: long ago\n" + "2026 INFO A: fine\n" * 10000)
    assert daemons.last_words(log) == "2026 INFO A: fine"


GIB = 1 << 30


@pytest.mark.parametrize(
    ("nodes", "total", "each"),
    [
        (2, 24 * GIB, 9 * GIB),
        (2, 64 * GIB, 24 * GIB),
        (2, 16 * GIB, 7 * GIB),  # a head and a worker, though twice 7 is over three quarters
        (1, 8 * GIB, 6 * GIB),
        (2, 8 * GIB, 6 * GIB),
        (8, 8 * GIB, 6 * GIB),
        (3, 1 * GIB, 768 << 20),
    ],
)
def test_memory_of_a_node(nodes, total, each):
    assert machine.node_memory(nodes, total) == each


@pytest.mark.parametrize(
    ("files", "total"),
    [
        ({}, 16 * GIB),
        ({"sys/fs/cgroup/memory.max": "max\n"}, 16 * GIB),
        ({"sys/fs/cgroup/memory.max": f"{4 * GIB}\n"}, 4 * GIB),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * GIB),
    ],
)
def test_the_containers_limit_counts_as_the_machines_memory(tmp_path, files, total):
    for name, text in {"proc/meminfo": f"MemTotal:       {16 << 20} kB\nMemFree: 1 kB\n", **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.total_memory(tmp_path) == total
