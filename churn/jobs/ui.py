"""`churn ui`: the MLflow UI over the project's experiments."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from churn.config import Config
from churn.delivery.tracking import ui_command, ui_environment
from churn.errors import OutputError


def ui(config: Config, *, port: int, progress: Callable[[str], None] = lambda _: None) -> None:
    """Serves the UI on 127.0.0.1 until interrupted.

    Raises:
        OutputError: the server ends by itself, as when the port is taken.
    """
    progress(f"serving http://127.0.0.1:{port} (the first start takes some seconds; Ctrl-C ends it)")
    ended = subprocess.run(ui_command(config, port=port), env={**os.environ, **ui_environment()}, check=False)
    if ended.returncode not in (0, 130, -2):
        raise OutputError(
            f"the MLflow server ended with code {ended.returncode}; is port {port} taken? "
            f"choose another: churn ui --port {port % 65_535 + 1}"
        )
