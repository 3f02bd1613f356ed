"""Aligned columns for a terminal, whole lines where they fit: a cluster may have a thousand of them.

rich knows how wide characters are. Its own table lays out every cell as text that may be styled, 2 ms a row (measured,
rich 15), which was 2.2 s of waiting for `status` of a thousand workers.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP = "  "


def lines(rows: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """The rows, each column as wide as its widest cell; the widest are folded when a line would exceed ``room``."""
    rows = [[" ".join(cell.splitlines()) if "\n" in cell else cell for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    wanted = list(widths)
    _shrink(widths, max(room - len(_GAP) * (len(widths) - 1), len(widths)))
    narrow = [at for at, (now, before) in enumerate(zip(widths, wanted, strict=True)) if now < before]
    for row in rows:
        if any(width(row[at]) > widths[at] for at in narrow):
            cells = [_folded(cell, most) for cell, most in zip(row, widths, strict=True)]
            for number in range(max(map(len, cells))):
                yield _line([cell[number] if number < len(cell) else "" for cell in cells], widths)
        else:
            yield _line(row, widths)


def width(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # a table of all of Unicode that most answers do without

    return cell_len(text)


def _shrink(widths: list[int], room: int) -> None:
    """Take from the widest columns, alike, what exceeds ``room``."""
    while (over := sum(widths) - room) > 0:
        most = max(widths)
        next_to_it = max((one for one in widths if one < most), default=1)
        widest = [at for at, one in enumerate(widths) if one == most]
        step = max(1, min(most - next_to_it, over // len(widest)))
        for at in widest[:over]:
            widths[at] -= step


def _folded(text: str, most: int) -> list[str]:
    if width(text) <= most:
        return [text]
    if text.isascii():
        return textwrap.wrap(text, most, break_on_hyphens=False) or [""]
    from rich.cells import chop_cells

    return chop_cells(text, most)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (most - width(cell)) for cell, most in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip()
