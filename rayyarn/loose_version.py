"""The one thing that skein 0.8.2 takes from ``distutils``, which Python 3.12 dropped: it compares grpc's version.

The runtime archive's copy of skein imports it from here. Through setuptools' stand-in for distutils the same line costs
every supervisor 0.3 s and 15 MB.
"""

from __future__ import annotations

import re
from functools import total_ordering


@total_ordering
class LooseVersion:
    """A version that compares by its numbers first: ``1.9`` < ``1.10`` < ``1.10.1``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._key = [
            (0, int(part), "") if part.isdigit() else (-1, 0, part) for part in re.findall(r"\d+|[a-z]+", text)
        ]

    def __eq__(self, other: object) -> bool:
        return self._key == _key(other)

    def __lt__(self, other: object) -> bool:
        return self._key < _key(other)

    def __hash__(self) -> int:
        return hash(tuple(self._key))


def _key(other: object) -> list[tuple[int, int, str]]:
    return (other if isinstance(other, LooseVersion) else LooseVersion(str(other)))._key
