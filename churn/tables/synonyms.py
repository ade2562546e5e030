"""Synonyms: what other systems call our tables and columns, most telling name first."""

from __future__ import annotations

import re

TABLE_WORDS: dict[str, tuple[str, ...]] = {
    "transactions": ("transaction", "order", "invoice", "sale", "purchase", "payment", "receipt", "basket", "pos"),
    "visits": ("visit", "session", "login", "traffic", "pageview"),
    "contacts": ("contact", "ticket", "call", "case", "conversation", "chat", "support"),
    "incidents": ("incident", "delay", "outage", "failure", "defect", "disruption", "stockout"),
    "feedback": ("feedback", "review", "nps", "csat", "ces", "survey", "rating", "complaint", "mention"),
    "invitations": ("invitation", "invite", "sent", "mailing"),
    "customers": ("customer", "user", "member", "client", "account", "profile", "crm"),
    "subscriptions": ("subscription", "contract", "membership", "policy"),
    "treatments": ("treatment", "campaign", "retention", "offer", "winback"),
}
"""Words in a file's name that speak for a table."""

_CUSTOMER = (
    "customer_id", "customerid", "cust_id", "customer_no", "customer_number", "customer_code", "customer", "cust",
    "client_id", "client_no", "client", "user_id", "userid", "user", "member_id", "member_no", "member", "account_id",
    "account_no", "account", "contact_id", "shopper_id", "buyer_id", "subscriber_id", "loyalty_id", "person_id",
)  # fmt: skip
_TIME = (
    "time", "timestamp", "datetime", "date_time", "event_time", "occurred_at", "occurred_on", "created_at",
    "created_on", "created", "date", "event_date", "day", "ts",
)  # fmt: skip
_CHANNEL = ("channel", "medium", "touchpoint", "device", "platform")
_TOPIC = ("topic", "category", "reason", "subject", "theme")
_TEXT = ("text", "comment", "comments", "review_text", "message", "body", "description", "verbatim")
_ORDER = ("order_id", "order_no", "order_number", "invoice", "invoice_no", "invoice_id", "purchase_id",
          "transaction_id", "receipt_id", "basket_id", "order")  # fmt: skip
_AMOUNT = ("amount", "total", "total_amount", "total_price", "order_total", "order_value", "line_total", "revenue",
           "net", "net_amount", "value", "gross", "sales", "spend", "amount_paid", "payment_value", "paid")  # fmt: skip
UNIT_PRICES = ("unit_price", "price_per_unit", "item_price", "price")
"""Prices of one piece: an amount only once they are multiplied by the quantity."""

COLUMN_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "transactions": {
        "customer_id": _CUSTOMER,
        "time": ("order_date", "invoice_date", "invoice_ts", "purchase_date", "purchased_on", "purchased_at",
                 "transaction_date", "ordered_at", "sale_date", "paid_at", "payment_date", *_TIME),
        "amount": _AMOUNT,
        "order_id": _ORDER,
        "channel": _CHANNEL,
        "category": ("category", "product_category", "department", "product_group"),
        "quantity": ("quantity", "qty", "units", "pieces"),
        "discount": ("discount", "discount_amount", "rebate"),
        "is_return": ("is_return", "returned", "is_refund", "refund"),
    },
    "visits": {
        "customer_id": _CUSTOMER,
        "time": ("visit_date", "visited_at", "session_start", "started_at", "login_at", "start_time", *_TIME),
        "channel": _CHANNEL,
        "duration_seconds": ("duration_seconds", "duration", "session_seconds", "seconds"),
    },
    "contacts": {
        "customer_id": _CUSTOMER,
        "time": ("opened_at", "call_date", "call_time", "contact_date", "contacted_at", "received_at", *_TIME),
        "case_id": ("case_id", "ticket_id", "ticket_no", "case_no", "conversation_id", "ticket", "case"),
        "channel": _CHANNEL,
        "topic": _TOPIC,
        "agent_id": ("agent_id", "agent", "handled_by", "assignee"),
        "wait_seconds": ("wait_seconds", "wait_time", "waiting_seconds", "wait"),
        "handle_seconds": ("handle_seconds", "handle_time", "talk_seconds", "talk_time"),
        "resolved_at": ("resolved_at", "closed_at", "solved_at", "resolved_on", "closed_on"),
        "is_complaint": ("is_complaint", "complaint"),
        "text": _TEXT,
    },
    "incidents": {
        "customer_id": _CUSTOMER,
        "time": ("incident_date", "failed_at", "happened_at", *_TIME),
        "kind": ("kind", "type", "incident_type", "incident", "reason"),
        "severity": ("severity", "priority", "impact"),
        "order_id": _ORDER,
    },
    "feedback": {
        "customer_id": _CUSTOMER,
        "time": ("review_date", "submitted_at", "responded_at", "response_date", "answered_at", "survey_date", *_TIME),
        "kind": ("kind", "feedback_type", "survey_type", "type"),
        "author": ("author",),
        "score": ("score", "rating", "stars", "review_rating", "review_score", "nps", "csat", "ces", "grade"),
        "channel": _CHANNEL,
        "topic": _TOPIC,
        "text": _TEXT,
    },
    "invitations": {
        "customer_id": _CUSTOMER,
        "time": ("sent_at", "invited_at", "sent_on", "sent_date", "sent", *_TIME),
        "channel": _CHANNEL,
        "answered_at": ("answered_at", "responded_at", "response_date", "completed_at", "answered_on"),
    },
    "customers": {
        "customer_id": ("id", *_CUSTOMER),
        "since": ("since", "signup_date", "signed_up_at", "registered_at", "joined_at", "join_date", "created_at",
                  "created_on", "customer_since", "first_seen", "registration_date"),
        "closed_at": ("closed_at", "closed_on", "account_closed_at", "deleted_at"),
        "opted_out_at": ("opted_out_at", "unsubscribed_at", "opt_out_date"),
        "is_contactable": ("is_contactable", "contactable", "marketing_consent", "consent", "opted_in"),
    },
    "subscriptions": {
        "customer_id": _CUSTOMER,
        "start": ("start", "start_date", "started_at", "starts_at", "valid_from", "begin_date"),
        "end": ("end", "end_date", "ends_at", "expires_at", "expiry_date", "valid_to", "term_end"),
        "plan": ("plan", "plan_name", "product", "tier"),
        "amount": (*_AMOUNT, "price", "fee"),
        "ended_at": ("ended_at", "cancelled_at", "canceled_at", "terminated_at", "cancel_date"),
        "ended_how": ("ended_how", "end_reason", "cancel_type"),
        "ended_reason": ("ended_reason", "cancel_reason", "reason"),
    },
    "treatments": {
        "customer_id": _CUSTOMER,
        "time": ("treated_at", "contacted_at", "sent_at", *_TIME),
        "kind": ("kind", "treatment", "offer", "campaign", "type"),
        "is_control": ("is_control", "control", "control_group"),
    },
}  # fmt: skip
"""For each table, the names under which each of our columns may come."""

SENSITIVE_WORDS = frozenset(
    {"gender", "sex", "birth", "birthday", "birthdate", "dob", "age", "religion", "ethnicity", "nationality", "race",
     "name", "firstname", "lastname", "surname", "email", "mail", "phone", "mobile", "address", "street", "iban",
     "disability", "health"}
)  # fmt: skip
"""Words in a column's name that speak for personal or protected data."""


def plain_name(name: str) -> str:
    """Returns a column's or file's name in lower case with single underscores between its words.

    >>> plain_name("Customer ID"), plain_name("PurchasedOn"), plain_name("customerID")
    ('customer_id', 'purchased_on', 'customer_id')
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
    return re.sub(r"[^0-9a-z]+", "_", split.lower()).strip("_")


def words_of(name: str) -> set[str]:
    """Returns the words of a name, plural endings taken off.

    >>> sorted(words_of("Surveys_sent-2024.csv"))
    ['2024', 'csv', 'sent', 'survey']
    """
    return {_singular(word) for word in plain_name(name).split("_")}


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith("ss"):  # nps, ces, pos, address
        return word
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")
