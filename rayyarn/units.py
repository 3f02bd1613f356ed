"""Sizes and durations as people write them, and back."""

from __future__ import annotations

import re

_SIZES = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_TIMES = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0,
          "hour": 3600.0, "d": 86400.0, "day": 86400.0}  # fmt: skip


def parse_size(text: str | int) -> int:
    """Bytes meant by ``4 GiB``, ``4g``, ``512MB`` or a plain number of bytes.

    Units are powers of 1024 with or without the ``i``, as in YARN's and Spark's own settings.
    Raises ValueError with a sentence that ends in an example.
    """
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", str(text).lower())
    if not match:
        raise ValueError(f"{text!r} is not a size; write for example '4 GiB'")
    return int(float(match[1]) * _SIZES[match[2]])


def parse_duration(text: str | float) -> float:
    """Seconds meant by ``10 min``, ``90s``, ``2h``, a plain number of seconds, or ``off`` (0.0)."""
    if isinstance(text, int | float):
        return float(text)
    if str(text).strip().lower() in ("off", "none", "never"):
        return 0.0
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*?)s?\s*", str(text).lower())
    if not match or match[2] not in _TIMES:
        raise ValueError(f"{text!r} is not a duration; write for example '10 min'")
    return float(match[1]) * _TIMES[match[2]]


def format_size(size: float) -> str:
    """``4 GiB``, ``1.5 GiB``, ``200 MiB``: at most one decimal, exact when it can be."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while abs(size) >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.1f}".removesuffix(".0") + f" {units[0]}"


def format_duration(seconds: float) -> str:
    """``45s``, ``12m``, ``3h10m``, ``2d4h``: two units at most, for tables."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
