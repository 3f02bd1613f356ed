import inspect
import signal

import pytest

from rayyarn import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RayYarnError)]


def test_each_code_belongs_to_one_class():
    codes = [kind.code for kind in CLASSES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", CLASSES)
def test_exit_codes_are_the_documented_ones(kind):
    assert kind.exit_code in (1, 2, 3, 4, 130)
    assert kind.__doc__


def test_an_error_carries_what_to_do():
    error = errors.ClusterNotFound("no cluster named 'demo'", hint="rayyarn status", log="404")
    assert str(error) == "no cluster named 'demo'"
    assert error.to_dict() == {
        "code": "cluster_not_found", "message": "no cluster named 'demo'", "log": "404", "hint": "rayyarn status",
    }  # fmt: skip


def test_problems_are_listed_together():
    assert str(errors.SpecError(["a: bad"])) == "a: bad"
    assert str(errors.SpecError(["a: bad", "b: worse"])) == "2 problems:\n  - a: bad\n  - b: worse"


def test_an_interruption_has_the_shells_exit_code():
    assert errors.Interrupted(signal.SIGINT).exit_code == 130
    assert errors.Interrupted(signal.SIGTERM).exit_code == 143
