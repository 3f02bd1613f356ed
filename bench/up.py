"""Warm `rayyarn up` against its unavoidable parts and against ray.util.spark; exec, down and status beside it."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from stack import HERE, Stack, table

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SMALL = ["--workers", "2", "--head-memory", "1500 MiB", "--worker-memory", "1500 MiB", "--worker-cpus", "1"]
TRIVIAL = "import ray; ray.init(); print(ray.get(ray.remote(lambda: 7).remote()))"


def main() -> None:
    with Stack() as stack:
        up = ["up", "b", "--environment", stack.prefix, *SMALL]
        stack.rayyarn(*up)  # packs, sends and unpacks once: everything after this is warm
        document = json.loads(Path(stack.rayyarn(*up).split("\t")[2].strip()).read_text())
        jars = stack.python(
            "import rayyarn; from rayyarn import spark\n"
            "print(spark.settings(rayyarn.connect().connection, {})['spark.yarn.archive'])",
            name="b",
        )
        stack.rayyarn("down", "b")
        seen: dict[str, list[float]] = defaultdict(list)
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            once(stack, up, seen)
            for part, seconds in json.loads(stack.run([sys.executable, HERE / "parts.py", stack.prefix])).items():
                seen[part].append(seconds)
            environ = {
                "ARCHIVE": document["environment"]["uri"],
                "JARS": jars.strip(),
                "PATH": f"{stack.prefix}/bin:{stack.environ['PATH']}",  # it looks for `ray` on the driver's PATH
                "HOME": str(stack.folder),  # a head takes ~/.ray/auth_token for its own, and its workers know of none
            }
            said = stack.run([f"{stack.prefix}/bin/python", HERE / "peer.py"], environ)
            answer = next(line for line in said.splitlines() if line.startswith('{"session"'))  # Ray logs there as well
            for part, seconds in json.loads(answer).items():
                seen[f"peer: {part}"].append(seconds)
            said = stack.run([sys.executable, HERE / "ray_job.py", stack.prefix, TRIVIAL], environ)
            seen["ray job submit"].append(json.loads(said)["ray job submit"])
    report({key: statistics.median(values) for key, values in seen.items()})


def once(stack: Stack, up: list[str], seen: dict[str, list[float]]) -> None:
    seen["up"].append(timed(lambda: stack.rayyarn(*up)))
    seen["up, already up"].append(timed(lambda: stack.rayyarn(*up)))
    # YARN hears of a usable cluster with its master's next heartbeat; until then `status` asks the master.
    time.sleep(3)
    seen["status: CPU"].append(cpu(lambda: stack.rayyarn("status")))
    seen["status NAME"].append(timed(lambda: stack.rayyarn("status", "b")))
    seen["exec"].append(timed(lambda: stack.rayyarn("exec", "b", "--", "python", "-c", TRIVIAL)))
    file = Path(stack.rayyarn(*up).split("\t")[2].strip())
    where = json.loads(file.read_text())
    token = file.parent / where["secrets"]["token"]
    bare = [HERE / "joining.py", stack.prefix, where["ray"]["address"], token, TRIVIAL]
    by_hand = json.loads(stack.run([sys.executable, *bare]))
    seen["ray start + program"].append(sum(by_hand.values()))
    seen["submit"].append(timed(lambda: stack.rayyarn("submit", "b", "--", "python", "-c", TRIVIAL)))
    seen["down"].append(timed(lambda: stack.rayyarn("down", "b")))
    run = ["run", "--name", "b", *up[2:], "--", "python", "-c", TRIVIAL]
    seen["run"].append(timed(lambda: stack.rayyarn(*run)))


def report(median: dict[str, float]) -> None:
    parts = ("driver JVM", "submit", "master", "one container", "head to GCS", "workers' ray start")
    floor = sum(median[part] for part in parts)
    spark = median["peer: setup_ray_cluster"]
    rows = [(part, median[part], "") for part in parts]
    rows += [("sum of the parts", floor, "1.00")]
    rows += [("rayyarn up, warm", median["up"], f"{median['up'] / floor:.2f} x the parts")]
    rows += [("ray.util.spark setup_ray_cluster", spark, f"{spark / median['up']:.1f} x rayyarn")]
    whole = spark + median["peer: session"]
    rows += [("  with the session it needs", whole, f"{whole / median['up']:.1f} x rayyarn")]
    bare = median["ray start + program"]
    rows += [("ray start --address, then a trivial program", bare, "1.00")]
    rows += [("exec of the same program", median["exec"], f"{median['exec'] / bare:.2f} x that")]
    job = median["ray job submit"]
    rows += [("ray job submit of it, to a head with a dashboard", job, "1.00")]
    rows += [("submit of it", median["submit"], f"{median['submit'] / job:.2f} x that")]
    single = median["up"] + median["exec"] + median["down"]
    rows += [("up + exec + down", single, "")]
    rows += [("run of it", median["run"], f"{median['run'] - single:+.1f} s")]
    rows += [(key, median[key], "") for key in ("up, already up", "status NAME", "status: CPU", "down")]
    table(f"medians of {ROUNDS}", rows)


def timed(action: object) -> float:
    started = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - started


def cpu(action: object) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()  # type: ignore[operator]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
