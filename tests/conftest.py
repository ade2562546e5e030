"""Settings of the test session: threads that wait must sleep, or two busy test runs on one machine crawl."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
