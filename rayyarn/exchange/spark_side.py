"""A Spark session as the exchange sees it: classic or Connect, what it encrypts, and jobs that can be called off."""

from __future__ import annotations

import signal
import threading
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rayyarn.errors import ExchangeRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever switched one of these on does not want data to cross the network in the clear.
_ENCRYPTION = ("spark.network.crypto.enabled", "spark.ssl.enabled", "spark.ssl.rpc.enabled")

# Wishes are handed to the JVM one by one, two calls of Py4J each: a second for so many.
_MOST_WISHES = 1000

_PYSPARK = ("pyspark.core.context", "pyspark.context")  # where its handler of SIGINT is, since Spark 4 and before


def is_connect(frame_or_session: Any) -> bool:
    """True for Spark Connect, where there is no JVM beside the program."""
    return type(frame_or_session).__module__.startswith("pyspark.sql.connect")


def session_of(frame: Any) -> Any:
    """The session of a DataFrame."""
    return frame.sparkSession


def refuse_plaintext(spark: Any, *, allowed: bool) -> None:
    """Raise ExchangeRefused when this session encrypts its network and the program did not say ``allow_plaintext``."""
    on = [key for key in _ENCRYPTION if str(setting(spark, key, "false")).lower() == "true"]
    if on and not allowed:
        raise ExchangeRefused(
            f"{on[0]} is on, and the exchange between Spark and Ray is authenticated but not encrypted",
            hint="to_ray(df, allow_plaintext=True)   # to_spark likewise; or hand the data over as files",
        )


def setting(spark: Any, key: str, default: str) -> str:
    """A setting of the session or of its application."""
    found = None
    with suppress(Exception):  # Connect may not show settings of its server's application
        found = spark.conf.get(key, None)
    if found is None and not is_connect(spark):
        found = spark.sparkContext._jsc.getConf().get(key, default)  # PySpark's own copies them one by one
    return default if found is None else str(found)


def application(spark: Any) -> str:
    """Which Spark application a session belongs to."""
    return str(spark.session_id) if is_connect(spark) else str(spark.sparkContext.applicationId)


def is_stopped(spark: Any) -> bool:
    """True once the session's application has ended, or this program has let go of it."""
    try:
        if is_connect(spark):
            return bool(spark.is_stopped)
        context = spark.sparkContext._jsc
        return context is None or bool(context.sc().isStopped())
    except Exception:  # its JVM is gone
        return True


def numbered(spark: Any, hosts: list[str]) -> Any:
    """A DataFrame of one column that numbers its partitions; Spark is asked to run each on the host at its place.

    Spark heeds that as it does with files: it waits for a free executor there as long as ``spark.locality.wait``, and
    with dynamic allocation asks YARN for executors there. Where it cannot be asked, it runs them anywhere.
    """
    if not is_connect(spark) and len(hosts) <= _MOST_WISHES:
        # Not public to Python: SparkContext.makeRDD(Seq[(T, Seq[String])]), there in 3.5 and 4.x.
        with suppress(Exception):
            return _with_wishes(spark, hosts)
    return spark.range(0, len(hosts), 1, len(hosts))


def _with_wishes(spark: Any, hosts: list[str]) -> Any:
    from pyspark.sql import DataFrame

    context, jvm = spark.sparkContext, spark.sparkContext._jvm
    scala_list = jvm.org.apache.spark.api.python.PythonUtils.toSeq
    places = {host: scala_list([host]) for host in set(hosts)}
    wishes = scala_list([jvm.scala.Tuple2(number, places[host]) for number, host in enumerate(hosts)])
    kind = scala_object(jvm.scala.reflect, "ClassTag").AnyRef()
    made = context._jsc.sc().makeRDD(wishes, kind)
    return DataFrame(spark._jsparkSession.createDataset(made, jvm.org.apache.spark.sql.Encoders.INT()).toDF(), spark)


def scala_object(package: Any, name: str) -> Any:
    """The one instance of a Scala ``object``; Py4J knows it by the names that the compiler gives it."""
    return getattr(getattr(package, f"{name}$"), "MODULE$")


@contextmanager
def settings_in_tasks(spark: Any) -> Iterator[None]:
    """Plan and run in the body as Spark does for its own actions: under this session and its SQL settings.

    Tasks take SQL settings from the job's local properties (``SQLExecution.withSQLConfPropagated``). A job on an RDD
    that was made of a plan has none, and would run under the defaults: seen with 4.3, where ``maxRecordsPerBatch`` of a
    UDF inside the DataFrame was forgotten.
    """
    context, java = spark.sparkContext._jsc.sc(), spark._jsparkSession
    known = context.getLocalProperties()  # of this thread
    before = known.clone()
    # Not public, SQLConf.settings: a map of Java's, so that all goes in one call of Py4J and not in eight a setting.
    known.putAll(java.sessionState().conf().settings())
    kind = spark._jvm
    for part in java.getClass().getName().split("."):
        kind = getattr(kind, part)
    kind.setActiveSession(java)
    try:
        yield
    finally:
        with suppress(Exception):  # the session may be gone
            context.setLocalProperties(before)


@contextmanager
def job(spark: Any) -> Iterator[Job]:
    """Everything that Spark is asked for in the body can be called off, and is when the body fails."""
    made = Job(spark)
    made.begin()
    try:
        yield made
    except BaseException:
        made.cancel()
        raise
    finally:
        made.end()


@contextmanager
def interruptible(job: Job) -> Iterator[None]:
    """Let Ctrl-C in the body call ``job`` off, and be raised when Spark has let go of it.

    PySpark's own handler calls Spark in the thread that waits for it. In 3.5 that is the same connection: it breaks,
    and what comes out is an error of Py4J's. A program's own handler stays.
    """
    before = signal.getsignal(signal.SIGINT)
    known = before is signal.default_int_handler or getattr(before, "__module__", "") in _PYSPARK
    if not known or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = threading.Event()

    def hear(*_: object) -> None:
        if pressed.is_set():  # he means it
            raise KeyboardInterrupt
        pressed.set()
        threading.Thread(target=job.cancel, daemon=True).start()

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    except Exception as error:
        if pressed.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed.is_set():
        raise KeyboardInterrupt


class Job:
    """Jobs of this thread under a tag of their own. ``cancel`` may be called from any thread."""

    def __init__(self, spark: Any) -> None:
        self._spark, self._connect, self.tag = spark, is_connect(spark), f"rayyarn-{uuid.uuid4().hex}"

    def begin(self) -> None:
        """From now on jobs of this thread carry the tag."""
        self._spark.addTag(self.tag) if self._connect else self._spark.sparkContext.addJobTag(self.tag)

    def end(self) -> None:
        """Later jobs of this thread do not."""
        with suppress(Exception):  # the session may be gone, which is why we are here
            self._spark.removeTag(self.tag) if self._connect else self._spark.sparkContext.removeJobTag(self.tag)

    def cancel(self) -> None:
        """Call off what runs."""
        with suppress(Exception):
            if self._connect:
                self._spark.interruptTag(self.tag)
            else:
                self._spark.sparkContext.cancelJobsWithTag(self.tag)
