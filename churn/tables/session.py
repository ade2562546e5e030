"""The session: Spark within what the configuration allows it, begun for one run and ended with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from churn.config import Config
from churn.errors import ConfigError
from churn.tables.sizes import memory_limit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEAST_JAVA = 17
_KEPT = "spark.churn.kept"
_LOCAL = "local[*]"
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "131072",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(1 << 27),
    "spark.driver.maxResultSize": "0",
    # A bucket is a task: Spark should not put several together.
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
}
_QUIET = """rootLogger.level = error
rootLogger.appenderRef.err.ref = err
logger.shell.name = org.apache.spark.api.python.PythonGatewayServer
logger.shell.level = error
appender.err.type = Console
appender.err.name = err
appender.err.target = SYSTEM_ERR
appender.err.layout.type = PatternLayout
appender.err.layout.pattern = %p %c{1}: %m%n
"""


@contextmanager
def spark_session(config: Config, *, folder: Path) -> Iterator[SparkSession]:
    """Yields the session that runs already, or one of `[engine] master` that ends with the block.

    On one machine it opens no port but on the loopback, and leaves nothing behind but in `folder`.

    Args:
        config: the project.
        folder: for what Spark spills and keeps on this machine.

    Raises:
        ConfigError: no pyspark, no Java, or a master that cannot be reached.
    """
    problem = spark_problem()
    if problem is not None:
        raise ConfigError(f'engine.kind = "spark": {problem}')
    with warnings.catch_warnings():
        # Every call says so; nothing here hands pandas frames to it, Arrow goes in and comes out.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        from pyspark.sql import SparkSession

        running = SparkSession.getActiveSession()
        session = running or _started(config, folder)
        try:
            yield session
        finally:
            if running is None:
                _end(session)


def kept_in(session: SparkSession) -> str | None:
    """Returns the folder in which tasks keep what others will read; None where they don't share a machine."""
    return session.conf.get(_KEPT, "") or None


def spark_problem() -> str | None:
    """Returns why Spark cannot run here, and what to do about it; None if nothing is known against it."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "pyspark is not installed; install it with: pip install 'silent-churn[spark]'"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or shutil.which(java) is None:
        return f"there is no Java; install Java {LEAST_JAVA} or later, or set JAVA_HOME"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < LEAST_JAVA:
        return f"{java} is no Java {LEAST_JAVA} or later; install one, or set JAVA_HOME"
    return None


def _started(config: Config, folder: Path) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    master = config.engine.master or _LOCAL
    builder = SparkSession.builder.master(master).appName("churn")
    settings = {**_SETTINGS, **(_on_this_machine(config, folder) if _is_local(master) else {})}
    for setting, value in settings.items():
        builder = builder.config(setting, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        told = f"engine.master = {master!r}: Spark does not start ({type(error).__name__})"
        raise ConfigError(f"{told}; check that this master runs, or take one of this machine: local[2]") from None
    if _is_local(master):
        session.sparkContext.pythonExec = sys.executable
    return session


def _end(session: SparkSession) -> None:
    """Ends the session and its Java: as long as that lives it writes to folders that are about to go."""
    from pyspark import SparkContext

    session.stop()
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


def _on_this_machine(config: Config, folder: Path) -> dict[str, str]:
    """Half of the memory is Spark's; its Python processes have the other half."""
    quiet = folder / "log4j2.properties"
    quiet.write_text(_QUIET, encoding="utf-8")
    temporary, kept = folder / "spark", folder / "kept"
    for one in (temporary, kept):
        one.mkdir(mode=0o700, exist_ok=True)
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{max(1024, memory_limit(config) // 2**21)}m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet.as_uri()} -Djava.io.tmpdir={temporary}",
        "spark.local.dir": str(temporary),
        _KEPT: str(kept.absolute()),
        "spark.sql.warehouse.dir": str(temporary / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
    }


def _is_local(master: str) -> bool:
    return master.startswith("local")
