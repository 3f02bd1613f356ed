"""What `make demo` runs: the whole session of a newcomer on a real YARN of this machine, and a check of its result.

Everything is done with the commands that a person would type. Whatever happens, Ctrl-C included, what was started is
stopped again; a mini cluster that ran before is used and left. One that did not keeps its files for the next time.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
RAYYARN = str(Path(sys.executable).with_name("rayyarn"))
NAME = "demo"
# Flights of an hour without a weather report fall out of 336,776. Both numbers were found without Spark and Ray too, by
# pandas on the same files. The checksum is of flights and delays by airline, after both ways between Spark and Ray.
JOINED = 335_220
CHECKSUM = "2b94c5bbe820c4fe"
# A worker is more than half of a node, so that the two are on different nodes. YARN counts what containers may take;
# what they do take stays below 5 GB for all of them together.
NODE, WORKER, HEAD = "10GiB", "5.25GiB", "4GiB"  # Tune, Train and Data keep their coordinators on the head
WORKERS = 2
UNDO_LIMIT = 150.0  # `rayyarn down` may wait 75 s, and a command that is interrupted undoes as much


class Failed(Exception):
    """The demo did not do what it promises; the text says what."""


class Demo:
    """The commands run so far and how long they took."""

    def __init__(self) -> None:
        # Settings of the person's own clusters, or of a Spark that is not the environment's, must not leak into this.
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("RAYYARN_", "SPARK_", "RAY_"))}
        kept = {key: os.environ[key] for key in ("RAYYARN_HOME",) if key in os.environ}
        self.environ = {**ours, **kept}
        self.seconds: dict[str, float] = {}

    def run(self, station: str, *command: str, capture: bool = False) -> str:
        """Run a command as a person would; its stdout when ``capture``. Raises Failed unless it ends with 0."""
        shown = [Path(word).name if word in (RAYYARN, PYTHON) else word for word in command]
        typed = shlex.join(shown).replace(f"{HERE.parent}/", "").replace(str(Path.home()), "~")
        say(f"\n$ {typed}")
        start = time.monotonic()
        process = subprocess.Popen(
            command, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if capture else None, text=True
        )
        try:
            out, _ = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGTERM)  # it has its own undo
            with suppress(subprocess.TimeoutExpired):
                process.wait(UNDO_LIMIT)
            process.kill()
            raise
        self.seconds[station] = time.monotonic() - start
        if process.returncode:
            raise Failed(f"`{typed}` ended with {process.returncode}")
        return out or ""

    def ask(self, *words: str) -> dict:
        """``data`` of what a rayyarn command answers with --json."""
        done = subprocess.run(
            [RAYYARN, *words, "--json"], env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise Failed(f"`rayyarn {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)["data"]


def main() -> int:
    """The session; 0 when all was as it must be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = float(os.environ.get("RAYYARN_DEMO_STARTED") or time.time())
    demo, facts = Demo(), {}
    try:
        with ExitStack() as undo:
            session(demo, undo, facts)
    except Failed as failure:
        say(f"\nerror: {failure}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; what was started has been stopped")
        return 130
    screen(demo, facts, time.time() - started)
    return 0


def session(demo: Demo, undo: ExitStack, facts: dict) -> None:
    """Up, work, check. What goes down again is left to ``undo``."""
    prefix = demo.run("environment", PYTHON, str(HERE.parent / "envs" / "build.py"), NAME, capture=True).strip()
    facts["prefix"] = prefix
    before = next((one["state"] for one in minis(demo) if one["name"] == "default"), None)
    facts["mini"] = before not in (None, "stopped")
    if not facts["mini"]:
        undo.callback(stop, demo, "mini down", RAYYARN, "mini", "down", "--keep-files")
    demo.run("mini up", RAYYARN, "mini", "up", *([] if before else ["--memory", NODE]))
    demo.environ.update(demo.ask("mini", "env"))  # whatever Hadoop this shell knows, the demo stays on this machine
    if any(one["name"] == NAME for one in demo.ask("status")["clusters"]):
        raise Failed(f"a cluster named {NAME} runs already\ntry: rayyarn down {NAME}")
    undo.callback(stop, demo, "down", RAYYARN, "down", NAME)
    sizes = ["--workers", str(WORKERS), "--worker-memory", WORKER, "--worker-cpus", "1", "--head-memory", HEAD]
    demo.run("up", RAYYARN, "up", NAME, "--environment", prefix, *sizes)
    with tempfile.TemporaryDirectory(prefix="rayyarn-demo-") as folder:
        file = Path(folder) / "report.json"
        program = ["python", str(HERE / "flights.py"), "--report", str(file)]
        demo.run("exec", RAYYARN, "exec", NAME, "--", *program)
        facts["report"] = json.loads(file.read_text())
    check(demo, facts["report"])


def minis(demo: Demo) -> list[dict]:
    """The mini clusters of this user."""
    return demo.ask("mini", "status")["clusters"]


def stop(demo: Demo, station: str, *command: str) -> None:
    """A command of the way down, which nothing may interrupt: it has limits of its own."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        demo.run(station, *command)
    finally:
        signal.signal(signal.SIGINT, before)


# --- what must be true ---------------------------------------------------------------------------------------------


def check(demo: Demo, report: dict) -> None:
    """Compare the program's report with what YARN itself says. Raises Failed with all that is wrong."""
    cluster = demo.ask("status", NAME)["clusters"][0]
    listed = containers(demo, cluster["application"])
    workers = {node["container"] for node in cluster["nodes"] if node["role"] == "worker"}
    scorers = {where.split()[1] for where in report["scored_in"]}
    readers = {where.split()[1] for where in report["read_in"]}
    wrong = []
    if report["joined"] != JOINED:
        wrong.append(f"{report['joined']:,} joined rows, not {JOINED:,}")
    if sum(report["read_in"].values()) != JOINED or sum(report["scored_in"].values()) != JOINED:
        wrong.append(f"not every row was read and scored once: {report['read_in']}, {report['scored_in']}")
    if scorers != workers or len(workers) != WORKERS:
        wrong.append(f"Ray scored in {sorted(scorers)}, and the cluster's workers are {sorted(workers)}")
    if not workers <= listed:
        wrong.append(f"YARN lists {sorted(listed)}, and not all of the workers {sorted(workers)}")
    application = report["spark"].removeprefix("application_")
    if not readers or not all(f"_{application}_" in reader for reader in readers):
        wrong.append(f"the flights were read in {sorted(readers)}, not all of them executors of {report['spark']}")
    if not report["error"] < report["error_by_hour"] < report["error_of_mean"]:
        wrong.append(f"the model is off by {report['error']} minutes, an average by {report['error_by_hour']}")
    if report["checksum"] != CHECKSUM:
        wrong.append(f"the summary's checksum is {report['checksum']}, not {CHECKSUM}")
    if wrong:
        raise Failed("the result is not what it must be:\n  " + "\n  ".join(wrong))


def containers(demo: Demo, application: str) -> set[str]:
    """The running containers of an application, as the ResourceManager lists them."""
    web = next(one["cluster"]["rm_web"] for one in minis(demo) if one["name"] == "default")
    attempt = application.replace("application", "appattempt") + "_000001"
    url = f"http://{web}/ws/v1/cluster/apps/{application}/appattempts/{attempt}/containers"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=20) as answer:
        return {one["containerId"] for one in json.load(answer)["container"]}


# --- the last screen -----------------------------------------------------------------------------------------------


def screen(demo: Demo, facts: dict, total: float) -> None:
    """What happened, and what to try next."""
    report, took = facts["report"], demo.seconds
    prefix = facts["prefix"].replace(str(Path.home()), "~")
    before = total - sum(took.values())
    left = (
        "nothing runs any more, files wait for the next `mini up`"
        if "mini down" in took
        else "the mini cluster runs on"
    )
    say("\n--- what happened ---")
    lines = [
        (before, "make setup", ".venv with rayyarn and its tools"),
        (took["environment"], "envs/build.py demo", "a conda environment: Python, Ray, Spark, the flights"),
        (took["mini up"], "rayyarn mini up", "a real YARN: one ResourceManager, two NodeManagers"),
        (took["up"], "rayyarn up demo", "packed and shipped it once; a head and two workers in containers"),
        (took["exec"], "rayyarn exec demo", f"{len(report['read_in'])} Spark executors read 336,776 flights and joined "
                                            f"{report['joined']:,} with the weather;"),
        (None, "", f"handed them to {len(report['scored_in'])} Ray workers in memory, which learnt and scored;"),
        (None, "", f"YARN lists the same containers; checksum {report['checksum']}"),
        (took["down"] + took.get("mini down", 0), "rayyarn down demo", left),
    ]  # fmt: skip
    for seconds, command, what in lines:
        say(f"  {'' if seconds is None else f'{seconds:.0f} s':>6}  {command:<19} {what}")
    say(f"  {total:>4.0f} s  in all; the second time most of it is there already")
    say("\n--- what to try next ---")
    for line in (
        "source .venv/bin/activate",
        "rayyarn mini up",
        f"rayyarn up demo --environment {prefix}",
        "rayyarn status demo",
        "rayyarn exec demo -- python -c 'import ray; ray.init(); print(ray.cluster_resources())'",
        "rayyarn down demo && rayyarn mini down   # with its files",
    ):
        say(f"  {line}")
    say("  docs/quickstart.md goes on from here.")


def say(text: str) -> None:
    """To people."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
