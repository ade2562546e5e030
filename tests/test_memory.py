"""Memory is given back where the C library can; where it cannot, nothing happens."""

from __future__ import annotations

from churn.tables.memory import _call, give_back


def test_a_call_that_the_library_lacks_is_no_error() -> None:
    _call("no_such_call_in_any_library", 0)
    give_back()
