"""One file per command: each a short story that calls the floors below."""
