"""One setting: its names, what it takes, how it is read from text and shown again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rayyarn.units import format_size, parse_duration, parse_size


@dataclass(frozen=True)
class Setting:
    """How a setting is called everywhere, and what it takes.

    ``kind`` is one of str, path, paths, files, names, flag, int, size, duration, mapping; ``same_cluster`` says that a
    change of it does not make another cluster.
    """

    key: str
    kind: str
    help: str
    example: str
    default: Any
    same_cluster: bool = False

    @property
    def keyword(self) -> str:
        """``worker_memory``: in Python, and in an answer's JSON."""
        return self.key.replace(".", "_").replace("-", "_")

    @property
    def flag(self) -> str:
        """``--worker-memory``."""
        return "--" + self.key.replace(".", "-")

    @property
    def variable(self) -> str:
        """``RAYYARN_WORKER_MEMORY``."""
        return "RAYYARN_" + self.keyword.upper()

    @property
    def many(self) -> bool:
        """True when the flag may be given several times."""
        return self.kind in ("mapping", "paths", "files", "names")

    def show(self, value: Any) -> str:
        """``value`` for eyes, in the words it may be written in."""
        if value is None or value == () or value == {}:
            return "-"
        if self.kind == "size":
            return format_size(value)
        if self.kind == "duration":
            if not value:
                return "off"
            return f"{value / 60:g} min" if value % 60 == 0 else f"{value:g} s"
        if self.kind == "mapping":
            return ", ".join(f"{name}=***" for name in value)
        if self.kind == "flag":
            return "yes" if value else "no"
        return ", ".join(value) if self.many else str(value)

    def read(self, value: Any) -> Any:
        """The value meant by a text or by a Python value; paths stay as they are. Raises ValueError with a sentence."""
        if self.kind == "flag":
            return _yes_or_no(value, self.example)
        if isinstance(value, bool):
            raise ValueError(f"{value} is not {_ARTICLES[self.kind]}; write for example {self.example!r}")
        if self.kind == "size":
            return parse_size(value)
        if self.kind == "duration":
            return parse_duration(value)
        if self.kind == "int":
            return _whole(value, self.example)
        if self.kind == "mapping":
            return _mapping(value, self.example)
        if self.kind == "paths":
            return tuple(str(path) for path in ([value] if isinstance(value, str) else value))
        if self.kind == "files":  # commas as in spark-submit's --files
            given = [value] if isinstance(value, str) else value
            return tuple(path for text in given for path in str(text).split(",") if path)
        if self.kind == "names":
            given = [value] if isinstance(value, str) else value
            return tuple(name for text in given for name in re.split(r"[\s,]+", str(text)) if name)
        if not isinstance(value, str) and not hasattr(value, "__fspath__"):
            raise ValueError(f"{value!r} is not {_ARTICLES[self.kind]}; write for example {self.example!r}")
        if not str(value):
            raise ValueError(f"it is empty; write for example {self.example!r}")
        return str(value)


_ARTICLES = {
    "str": "a text", "path": "a path", "paths": "a list of paths", "files": "a list of paths",
    "int": "a whole number", "size": "a size",
    "duration": "a duration", "mapping": "a list of NAME=VALUE", "names": "a list of names",
}  # fmt: skip


def _yes_or_no(value: Any, example: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
    found = words.get(str(value).lower())
    if found is None:
        raise ValueError(f"{value!r} is not yes or no; write for example {example!r}")
    return found


def _whole(value: Any, example: str) -> int:
    if isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value)):
        return int(value)
    raise ValueError(f"{value!r} is not a whole number; write for example {example!r}")


def _mapping(value: Any, example: str) -> dict[str, str]:
    if hasattr(value, "items"):
        return {str(name): str(text) for name, text in value.items()}
    pairs = [value] if isinstance(value, str) else list(value)
    for pair in pairs:
        if "=" not in str(pair):  # the pair itself is not repeated: half of it may be a secret
            raise ValueError(f"{pair.split()[0] if pair else pair!r} has no '='; write for example {example!r}")
    return dict(str(pair).split("=", 1) for pair in pairs)
