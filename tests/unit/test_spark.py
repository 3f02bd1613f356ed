"""What a Spark session is asked for, before there is one."""

import sys
from types import ModuleType

import pytest

from rayyarn import spark
from rayyarn.errors import ConnectionUnusable, UsageError

PYTHON = "./environment/bin/python"


def fake(monkeypatch, version="4.3.0", context=None, gateway=None):
    """A pyspark that is there in name only."""
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    made = ModuleType("pyspark")
    made.__version__ = version
    made.SparkContext = type("SparkContext", (), {"_active_spark_context": context, "_gateway": gateway})
    monkeypatch.setitem(sys.modules, "pyspark", made)


class Context:
    """A Spark application of this program, with these settings."""

    _jsc = object()

    def __init__(self, **settings):
        self._settings = settings

    def getConf(self):  # noqa: N802 - PySpark's name
        return self

    def getAll(self):  # noqa: N802
        return list(self._settings.items())


def test_connect_is_served_on_loopback_with_the_python_of_the_container(monkeypatch):
    fake(monkeypatch)
    wanted = {"spark.master": "yarn", "spark.api.mode": "connect"}
    served, environ = spark._for_connect(wanted, {"PYSPARK_PYTHON": PYTHON, "HADOOP_CONF_DIR": "/conf"})
    assert served == {
        "spark.master": "yarn",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
    }
    assert environ == {"PYSPARK_PYTHON": f".{PYTHON}", "HADOOP_CONF_DIR": "/conf"}


def test_files_and_code_are_one_folder_up_from_a_sessions_own(monkeypatch):
    fake(monkeypatch)
    paths = {"RAYYARN_FILES_DIR": ".", "PYTHONPATH": "./code/src:./code1/lib:/opt/lib"}
    wanted = {"spark.api.mode": "connect", **{f"spark.executorEnv.{name}": path for name, path in paths.items()}}
    served, _ = spark._for_connect(wanted, {})
    assert served["spark.executorEnv.RAYYARN_FILES_DIR"] == ".."
    assert served["spark.executorEnv.PYTHONPATH"] == "../code/src:../code1/lib:/opt/lib"


def test_a_python_elsewhere_is_the_same_from_every_folder(monkeypatch):
    fake(monkeypatch)
    assert spark._for_connect({"spark.api.mode": "connect"}, {"PYSPARK_PYTHON": "/opt/python"})[1] == {
        "PYSPARK_PYTHON": "/opt/python"
    }


def test_connect_needs_a_pyspark_whose_server_authenticates(monkeypatch):
    fake(monkeypatch, version="3.5.7")
    with pytest.raises(UsageError, match=r"needs PySpark 4, and this is 3\.5\.7"):
        spark._for_connect({"spark.api.mode": "connect"}, {})


def test_a_session_with_other_settings_is_refused(monkeypatch):
    monkeypatch.delenv("SPARK_CONNECT_MODE_ENABLED", raising=False)
    fake(monkeypatch, context=Context(**{"spark.master": "local"}))
    with pytest.raises(ConnectionUnusable, match="'local', not 'yarn'"):
        spark._refuse_other({"spark.master": "yarn"}, PYTHON, connect=False)
    spark._refuse_other({"spark.master": "local"}, PYTHON, connect=False)


def test_a_classic_session_is_not_what_a_connect_session_is(monkeypatch):
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    fake(monkeypatch, context=Context(**{"spark.master": "yarn"}))
    with pytest.raises(ConnectionUnusable, match="a Spark Connect session is active"):
        spark._refuse_other({"spark.master": "yarn"}, PYTHON, connect=False)
    spark._refuse_other({"spark.master": "yarn"}, f".{PYTHON}", connect=True)


@pytest.mark.parametrize("connect", [False, True])
def test_another_sparks_address_in_the_shell_is_refused(monkeypatch, connect):
    fake(monkeypatch)
    monkeypatch.setenv("SPARK_REMOTE", "sc://elsewhere:15002/;token=s3cret")
    with pytest.raises(ConnectionUnusable, match="SPARK_REMOTE is set") as refused:
        spark._refuse_other({}, PYTHON, connect=connect)
    assert refused.value.hint == "unset SPARK_REMOTE"
    assert "s3cret" not in str(refused.value)


def test_a_jvm_that_was_started_for_another_python_is_refused(monkeypatch):
    monkeypatch.delenv("SPARK_CONNECT_MODE_ENABLED", raising=False)
    monkeypatch.setenv("PYSPARK_PYTHON", PYTHON)
    fake(monkeypatch, gateway=object())
    spark._refuse_other({}, PYTHON, connect=False)
    with pytest.raises(ConnectionUnusable, match="Spark's JVM was started by this program with other settings"):
        spark._refuse_other({}, f".{PYTHON}", connect=True)
