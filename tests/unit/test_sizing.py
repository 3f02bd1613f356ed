"""From a container's memory to Ray's shares: the parts never come to more than the container."""

import pytest

from rayyarn import sizing
from rayyarn.sizing import MIB, STORE_MINIMUM


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("container", [1024, 1536, 2048, 4096, 65536])
@pytest.mark.parametrize("store", [None, 100 * MIB])
def test_the_parts_are_the_container(container, head, store):
    size = sizing.ray_size(container * MIB, head=head, object_store=store)
    assert sizing.overhead(head=head) + size.heap + size.object_store <= container * MIB + STORE_MINIMUM * (
        size.heap == 0
    )
    assert size.object_store >= STORE_MINIMUM
    if store:
        assert size.object_store == store


def test_numbers_of_a_common_worker():
    """4 GiB: 500 MiB for Ray and the supervisor, 30 % of the rest for objects, and the rest for tasks."""
    size = sizing.ray_size(4096 * MIB, head=False)
    assert sizing.overhead(head=False) == 500 * MIB
    assert size.object_store == int(3596 * MIB * 0.3)
    assert size.heap == 3596 * MIB - size.object_store


def test_a_head_needs_more_than_a_worker():
    assert sizing.overhead(head=True) - sizing.overhead(head=False) == 180 * MIB


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("store", [None, 300 * MIB])
def test_the_smallest_container_works_and_one_byte_less_does_not(head, store):
    least = sizing.smallest(head=head, object_store=store)
    assert sizing.problem(least, head=head, object_store=store) is None
    assert sizing.problem(least - 1, head=head, object_store=store) is not None
    size = sizing.ray_size(least, head=head, object_store=store)
    assert size.heap >= (0 if head else sizing.HEAP_MINIMUM)


def test_what_is_too_small_is_said_with_the_numbers():
    assert sizing.problem(512 * MIB, head=False) == (
        "512 MiB is too small: Ray's own processes need 500 MiB and the object store 75 MiB; take at least 775 MiB"
    )
    assert sizing.problem(1024 * MIB, head=False, object_store=MIB) == (
        "an object store of 1 MiB is below Ray's minimum of 75 MiB"
    )
