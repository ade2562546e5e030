"""Orders: the rows of `transactions` gathered into purchases and returns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def orders(transactions: pa.Table) -> pa.Table:
    """Returns one row per order: customer_id, time, available_at, amount, quantity, discount, categories, is_return.

    Rows are one order when they share customer, `order_id`, time, `available_at` and `is_return`; without an `order_id`
    each row is an order of its own. Time and `available_at` belong to the key because a sum over rows that become
    visible at different moments would let a later row change what was known before. `amount` and `discount` are cents;
    `categories` counts distinct categories. An order is a return when marked so or when its amount is negative.
    """
    table = transactions
    rows = table.num_rows
    defaults = {"order_id": pa.string(), "category": pa.string(), "quantity": pa.float64(), "discount": pa.int64()}
    for name, kind in defaults.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(rows, kind))
    is_marked = pc.fill_null(table["is_return"], False) if "is_return" in table.column_names else pa.repeat(False, rows)
    own_key = pc.if_else(pc.is_null(table["order_id"]), pa.array(np.arange(rows)), -1)
    table = table.append_column("is_marked", is_marked).append_column("own_key", own_key)
    keys = ["customer_id", "order_id", "own_key", "time", "available_at", "is_marked"]
    sums = [("amount", "sum"), ("quantity", "sum"), ("discount", "sum"), ("category", "count_distinct")]
    grouped = table.group_by(keys, use_threads=False).aggregate(sums)
    is_return = pc.or_(grouped["is_marked"], pc.less(grouped["amount_sum"], 0))
    return pa.table({
        "customer_id": grouped["customer_id"], "time": grouped["time"], "available_at": grouped["available_at"],
        "amount": grouped["amount_sum"], "quantity": grouped["quantity_sum"], "discount": grouped["discount_sum"],
        "categories": grouped["category_count_distinct"], "is_return": is_return,
    })  # fmt: skip
