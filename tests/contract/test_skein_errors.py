import inspect

import pytest

from rayyarn import skein_am
from rayyarn.errors import RayYarnError

theirs = pytest.importorskip("skein.exceptions")
CLASSES = [kind for _, kind in inspect.getmembers(theirs, inspect.isclass) if issubclass(kind, theirs.SkeinError)]


def test_skein_has_the_exceptions_that_were_mapped():
    """A new one in a new skein must be looked at before it is let through."""
    assert sorted(kind.__name__ for kind in CLASSES) == [
        "ApplicationError", "ApplicationNotRunningError", "ConnectionError", "DriverError", "DriverNotRunningError",
        "SkeinError", "TimeoutError",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_exception_of_skein_becomes_one_of_ours(kind):
    error = skein_am.translate(kind("something went wrong"), "asking for a container")
    assert isinstance(error, RayYarnError)
    assert type(error) is not RayYarnError
    assert "asking for a container" in error.message
    assert error.log == "something went wrong"
