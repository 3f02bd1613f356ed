"""Columns on a terminal."""

import pytest
from rayyarn_cli import grid


def shown(rows, room=80):
    return list(grid.lines(rows, room))


def test_columns_are_as_wide_as_their_widest_cell():
    assert shown([["NAME", "STATE"], ["a", "ready"], ["longer name", "-"]]) == [
        "NAME         STATE",
        "a            ready",
        "longer name  -",
    ]


def test_the_widest_column_is_folded_where_a_line_has_no_room():
    rows = [["NODE", "LAST WORDS"], ["n1", "the raylet ended with 1 and said nothing"], ["n2", "-"]]
    assert shown(rows, 24) == [
        "NODE  LAST WORDS",
        "n1    the raylet ended",
        "      with 1 and said",
        "      nothing",
        "n2    -",
    ]


def test_a_word_without_end_is_cut_and_nothing_is_lost():
    rows = [["HOST", "CONTAINER"], ["n1", "container_1795832780150_0001_01_000002"]]
    lines = shown(rows, 20)
    assert "".join(line[6:] for line in lines[1:]) == rows[1][1]
    assert max(map(len, lines)) <= 20


@pytest.mark.parametrize("room", [1, 5, 10])
def test_hardly_any_room_is_no_error(room):
    assert shown([["A", "B", "C"], ["aaaa", "b b b", ""]], room)


def test_cells_of_several_lines_and_empty_ones():
    assert shown([["A", "B"], ["one\ntwo", ""], ["", "x"]]) == ["A        B", "one two", "         x"]


def test_wide_and_combining_characters_keep_the_columns():
    lines = shown([["A", "B"], ["日本", "x"], ["e\u0301", "y"]])
    assert [grid.width(line[: line.index(end)]) for line, end in zip(lines, "Bxy", strict=True)] == [6, 6, 6]
    assert all(grid.width(line) <= 12 for line in shown([["A", "B"], ["日本語日本語日本語", "x"]], 12))
