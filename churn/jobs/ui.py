"""`churn ui`: the MLflow UI over the project's experiments."""

from __future__ import annotations

import os
import socket
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
    _check_free(port)
    progress(f"serving http://127.0.0.1:{port} (the first start takes some seconds; Ctrl-C ends it)")
    ended = subprocess.run(ui_command(config, port=port), env={**os.environ, **ui_environment()}, check=False)
    if ended.returncode not in (0, 130, -2):
        raise OutputError(
            f"the MLflow server ended with code {ended.returncode}, as it says above; if it is the port, "
            f"choose another: {_another(port)}"
        )


def _check_free(port: int) -> None:
    """Asks before the server takes its seconds to start."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError as error:
            raise OutputError(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); choose another: {_another(port)}"
            ) from None


def _another(port: int) -> str:
    return f"churn ui --port {port + 1 if port < 65_535 else 5000}"
