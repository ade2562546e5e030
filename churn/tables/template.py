"""The template: the words of a fresh `churn.toml`, with what each setting means."""

from __future__ import annotations

from typing import NamedTuple

SETTINGS = """\
# churn.toml: where the data lies and what is to be predicted. Check it with: churn check
# Paths are relative to the folder of this file; ${NAME} is taken from the environment.

timezone = "UTC"           # of times written without an offset, such as "Europe/London"
currency = "EUR"           # for reports; amounts are read in one currency
activity = "purchases"     # what coming means: "purchases" or "visits"
leave = "hard"             # "hard": no activity in the outcome window; "hard+partial": or far less than expected
# horizon_days = 91        # length of the outcome window; by default it is chosen from the customers' rhythm
gap_days = 0               # 0: leaving is noticed; 30: foretold, with a month to act. `churn check` shows both
# population = "active:180"  # customers with an order in the last 180 days, instead of the rhythm rules
# test_cutoffs = [2024-09-01, 2024-12-01]  # by default chosen from the data

# [contact]                # for the gain at the contact budget
# budget = 500             # customers that can be contacted per cutoff
# cost = 5.0
# success_rate = 0.2

# [output]                 # the table that churn score --to-database writes to
# url = "postgresql://user:${PGPASSWORD}@host/database"
# table = "churn_scores"

# [engine]
# memory_limit = "4GB"
# threads = 4
# buckets = 16  # customers are read and scored in so many parts; default: as many as memory_limit asks for
# training_customers = 200000  # a model learns from a sample of so many at most
# kind = "spark"  # train and score on Spark, master = "local[4]" or a cluster's URL; see docs/spark.md

# Each [tables.NAME] names a CSV or Parquet file (or a glob such as "orders-*.csv") and says which of its columns is
# ours: ours = "theirs". A column that has our name already needs no line. Further settings of a table:
#   delimiter, encoding ("utf-8", "latin-1", "utf-16"), decimal ("." or ","), timezone,
#   time_format ("%d/%m/%Y %H:%M", "epoch_s", "epoch_ms"; by default ISO 8601 such as 2024-12-31T18:00:00Z),
#   covers_from (first day the table is complete), duplicates ("drop" or "keep"),
#   available_at (column that says when a row became known, if later than it happened),
#   query and files instead of path: one SELECT over named files,
#   query and url instead of path: one SELECT on a database, url = "postgresql://user:${PGPASSWORD}@host/database".
"""


class Placeholder(NamedTuple):
    """What a table is about, the columns it must have and those it may have."""

    about: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


PLACEHOLDERS: dict[str, Placeholder] = {
    "transactions": Placeholder("Purchases and returns (negative amounts). The only table that must be there.",
                                ("customer_id", "time", "amount"), ("order_id", "category", "quantity", "is_return")),
    "visits": Placeholder("Sessions, store visits, logins.", ("customer_id", "time"), ("channel", "duration_seconds")),
    "contacts": Placeholder("Calls, chats, tickets: what customers asked of the service.", ("customer_id", "time"),
                            ("case_id", "topic", "resolved_at", "is_complaint")),
    "incidents": Placeholder("What went wrong, whether or not the customer spoke: late delivery, outage.",
                             ("customer_id", "time", "kind"), ("severity", "order_id")),
    "feedback": Placeholder('Words and scores. kind is "nps", "csat", "ces", "review", "complaint" or "mention".',
                            ("customer_id", "time", "kind"), ("score", "author", "text")),
    "invitations": Placeholder("Surveys sent, answered or not.", ("customer_id", "time"), ("channel", "answered_at")),
    "customers": Placeholder("Who the customers are: one row each.", ("customer_id",),
                             ("since", "closed_at", "opted_out_at", "is_contactable")),
    "subscriptions": Placeholder("Contracts with a term.", ("customer_id", "start", "end"),
                                 ("plan", "amount", "ended_at")),
    "treatments": Placeholder("What the company did to keep the customer.", ("customer_id", "time", "kind"),
                              ("is_control",)),
}  # fmt: skip


def placeholder(table: str) -> str:
    """Returns the section of a table that is still to be filled in; of all but `transactions`, as comments."""
    about, required, optional = PLACEHOLDERS[table]
    mark = "" if table == "transactions" else "# "
    lines = [f"# {about}", f"{mark}[tables.{table}]", f'{mark}path = "data/{table}.csv"']
    lines += [f'{mark}{name} = "{name}"' for name in required]
    lines += [f'# {name} = "{name}"' for name in optional]
    return "\n".join(lines) + "\n"
