"""`churn ui` leaves no server behind when it ends. What the server shows is tested with the store."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_project import environment

PATIENCE = 60
WORKER = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
SERVER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}, sys.argv[1]])"
"""As MLflow does: a server that starts a worker, and it is the worker who answers."""
UI = f"""
import sys
import churn.jobs.ui as job
from churn.cli import app, _terminated
import signal
signal.signal(signal.SIGTERM, _terminated)
job.ui_command = lambda _, *, port: [sys.executable, "-c", {SERVER!r}, str(port)]
app(["ui", "--port", sys.argv[1], "--config", sys.argv[2]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_no_worker_outlives_the_command(tmp_path: Path, signalled: signal.Signals, code: int) -> None:
    config = tmp_path / "churn.toml"
    config.write_text('[tables.transactions]\npath = "t.csv"\n', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as asked:
        port = asked.getsockname()[1]
    words = [sys.executable, "-c", UI, str(port), str(config)]
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True) as child:
        assert _becomes(port, is_served=True), "the server never answered"
        child.send_signal(signalled)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == code, err
    assert "Traceback" not in err
    assert _becomes(port, is_served=False), "a worker still answers"


def _becomes(port: int, *, is_served: bool) -> bool:
    """Waits until the port answers, or no longer does."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        with socket.socket() as asked:
            if (asked.connect_ex(("127.0.0.1", port)) == 0) == is_served:
                return True
        time.sleep(0.2)
    return False
