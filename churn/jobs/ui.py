"""`churn ui`: the MLflow UI over the project's experiments."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable

from churn.config import Config
from churn.delivery.tracking import ui_command, ui_environment
from churn.errors import OutputError


def ui(config: Config, *, port: int, progress: Callable[[str], None] = lambda _: None) -> None:
    """Serves the UI on 127.0.0.1 until Ctrl-C, which is how it is meant to end.

    Raises:
        OutputError: the port is taken, or the server ends by itself.
    """
    _check_free(port)
    progress(f"serving http://127.0.0.1:{port} (the first start takes some seconds; Ctrl-C ends it)")
    environment = {**os.environ, **ui_environment()}
    # A session of its own: MLflow starts workers, and all of them must end with us, however we end.
    with subprocess.Popen(ui_command(config, port=port), env=environment, start_new_session=True) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt:
            return
        finally:
            _end(server)
    if code:
        raise OutputError(
            f"the MLflow server ended with code {code}, as it says above; if it is the port, "
            f"choose another: {_another(port)}"
        )


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server with all its workers; nothing happens where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(server.pid, signal.SIGTERM)
        else:  # Windows has no groups of processes to end.
            server.terminate()


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
