import inspect

import pytest

import rayyarn
from rayyarn import errors


def test_the_public_names_are_these():
    assert sorted(rayyarn.__all__) == [
        "ClusterSpec", "Connection", "RayYarnError", "connect", "down", "status", "to_ray", "to_spark", "up",
    ]  # fmt: skip


@pytest.mark.parametrize("name", rayyarn.__all__)
def test_each_of_them_can_be_imported_and_says_what_it_is(name):
    thing = getattr(rayyarn, name)
    assert inspect.getdoc(thing)
    assert inspect.isclass(thing) or inspect.isfunction(thing)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = rayyarn.nonsense


def test_the_version_is_the_one_of_the_package():
    from importlib.metadata import version

    assert rayyarn.__version__ == version("rayyarn")


def test_the_error_codes_are_these():
    """A code is API: one that goes away or is renamed breaks scripts."""
    codes = {
        kind.code: kind.exit_code
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.RayYarnError)
    }
    assert codes == {
        "error": 1, "bad_spec": 2, "bad_usage": 2, "home_unusable": 2,
        "hadoop_not_found": 2, "hadoop_unusable": 2, "java_not_found": 2,
        "environment_unusable": 2, "staging_failed": 1, "yarn_unreachable": 1, "yarn_refused": 1,
        "request_too_large": 1, "hosts_unusable": 1, "spark_app_not_found": 1,
            "cluster_differs": 1, "cluster_failed": 1, "cluster_runs": 1,
        "cluster_not_found": 3, "job_not_found": 3, "dashboard_refused": 1, "not_ready": 4,
        "connection_unusable": 1, "exchange_refused": 2, "exchange_failed": 1, "unfit": 1,
        "mini_failed": 1, "interrupted": 130,
    }  # fmt: skip
