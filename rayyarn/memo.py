"""Small facts that are quick to look up and slow to find again: a JSON file in the user's cache folder.

A memo may vanish or be unreadable at any time; nothing is wrong then, only slower.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from rayyarn import home

# Enough for every environment and layer that a person has at hand; the file stays under 100 KB.
_KEPT = 300


class Memo:
    """Facts under ``~/.rayyarn/cache/<name>.json``; the newest few hundred are kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self, key: str) -> Any:
        """What was remembered for ``key``, or None."""
        return self._read().get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember ``value`` (plain JSON) for ``key``. Two writers at once: one of the two facts is lost."""
        facts = self._read()
        facts.pop(key, None)
        facts[key] = value
        self._write(dict(list(facts.items())[-_KEPT:]))

    def forget(self, key: str) -> None:
        """Remember nothing for ``key``."""
        facts = self._read()
        if facts.pop(key, None) is not None:
            self._write(facts)

    def _read(self) -> dict[str, Any]:
        try:
            facts = json.loads((home.cache() / f"{self._name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def _write(self, facts: dict[str, Any]) -> None:
        with suppress(OSError):  # a full or read-only home makes us slower, not wrong
            home.write_private(home.cache() / f"{self._name}.json", json.dumps(facts).encode())
