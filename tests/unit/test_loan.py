"""Which blocks of a Dataset become one partition of a DataFrame."""

from rayyarn.exchange import loan

MIB = 1 << 20
AT = {"a": ("10.0.0.1", 1), "b": ("10.0.0.2", 2)}


def runs(held_by, sizes):
    return [(first, count) for first, count, _ in loan._shares(held_by, sizes, AT)]


def test_neighbours_of_one_node_are_read_together():
    assert runs(["a", "a", "b", "b", "a"], [1] * 5) == [(0, 2), (2, 2), (4, 1)]


def test_up_to_the_size_of_a_partition():
    assert runs(["a"] * 4, [40 * MIB, 24 * MIB, 1, 100 * MIB]) == [(0, 2), (2, 1), (3, 1)]


def test_the_holder_is_asked_first_and_the_others_after_it():
    assert loan._shares(["b"], [1], AT) == [(0, 1, [AT["b"], AT["a"]])]


def test_ten_thousand_small_blocks_are_one_partition_a_node():
    assert runs(["a"] * 5000 + ["b"] * 5000, [24] * 10_000) == [(0, 5000), (5000, 5000)]
