"""The environment that `up` would ship: whether it can be, and which glibc it asks of the nodes."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING

from rayyarn.doctor.finding import NOTE, OK, PROBLEM, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rayyarn.doctor.facts import Facts

# manylinux2014 and older by the glibc they mean (PEP 600); newer tags carry it in their name.
_OLD_TAGS = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def environment(facts: Facts) -> Iterator[Finding]:
    """What `rayyarn env check` says, in one line."""
    found, problems, known = facts.environment.outcome()
    name, subject = "environment", "environment"
    if problems:
        fix = f"rayyarn env check {found.location}"
        if facts.spec.environment is None:
            fix = "rayyarn doctor --environment PREFIX   # a conda environment with ray[default]"
        yield Finding(name, subject, PROBLEM, "; ".join(problems), "`rayyarn up` refuses to ship it", fix)
        return
    if found.kind == "remote":
        text = f"{found.location}: used where it lies, not looked into"
        yield Finding(name, subject, OK, text)
        return
    parts = [f"Python {found.python}", f"ray {found.ray}", f"pyspark {found.pyspark or '-'}"]
    text = f"{found.location}: {', '.join(parts)}" + (f", {known[:8]}" if known else "")
    if found.remarks:
        means = "it is shipped so; `rayyarn env check` says the same"
        yield Finding(name, subject, NOTE, f"{text}; {'; '.join(found.remarks)}", means)
        return
    yield Finding(name, subject, OK, text)


def glibc(facts: Facts) -> Iterator[Finding]:
    """The glibc that the environment's packages were built for, against this machine's."""
    found, problems, _ = facts.environment.get()
    if problems or found.kind != "prefix":
        return  # nothing to say of it, or no records to read
    package, needs = needed_glibc(found.path)
    here = tuple(int(part) for part in re.findall(r"\d+", platform.libc_ver()[1])[:2])
    if not package or not here:
        return
    shown, ours = ".".join(map(str, needs)), ".".join(map(str, here))
    text = f"{package} needs glibc {shown}; this machine has {ours} (the nodes' is not seen from here)"
    if needs <= here:
        yield Finding("glibc", "glibc", OK, text)
        return
    fix = "getconf GNU_LIBC_VERSION   # the environment must be made where it is lowest"
    means = "importing it fails here, and on nodes with the same system"
    yield Finding("glibc", "glibc", PROBLEM, text, means, fix)


def needed_glibc(prefix: Path) -> tuple[str, tuple[int, int]]:
    """The package of a prefix with the highest demand, and the glibc it needs, by conda's and pip's records."""
    needs: list[tuple[tuple[int, int], str]] = []
    for record in (prefix / "conda-meta").glob("*.json"):
        # Not parsed: a record lists all files of its package, megabytes in all.
        for match in re.finditer(r'"__glibc >=(\d+)\.(\d+)', record.read_text(errors="replace")):
            needs.append(((int(match[1]), int(match[2])), record.name.rsplit("-", 2)[0]))
    for wheel in prefix.glob("lib/python3.*/site-packages/*.dist-info/WHEEL"):
        tags = [found for tag in re.findall(r"^Tag: (.*)$", wheel.read_text(errors="replace"), re.MULTILINE)
                if (found := _of_tag(tag))]  # fmt: skip
        if tags:  # any of its tags is enough
            needs.append((min(tags), wheel.parent.name.split("-", 1)[0]))
    if not needs:
        return "", (0, 0)
    most, package = max(needs)
    return package, most


def _of_tag(tag: str) -> tuple[int, int] | None:
    new = re.search(r"manylinux_(\d+)_(\d+)", tag)
    if new:
        return int(new[1]), int(new[2])
    return next((glibc for name, glibc in _OLD_TAGS.items() if f"-{name}_" in tag), None)
