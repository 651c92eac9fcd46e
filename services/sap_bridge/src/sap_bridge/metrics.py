"""What the bridge counts. Order numbers and names are in no label."""

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter("sap_answers_total", "Answers of SAP", ["call", "verdict", "status"])
CALL_SECONDS = Histogram(
    "sap_call_seconds", "Time of a call of SAP", ["call"], buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
)
LOGINS = Counter("sap_logins_total", "Logins tried")
FOUND_BY_LOOK_UP = Counter("sap_found_by_look_up_total", "Sales orders whose booking was unknown, found by look-up")
DUPLICATES = Counter("sap_possible_duplicates_total", "Orders for which SAP showed more than one sales order")
OLDEST_UNKNOWN_SECONDS = Gauge("sap_oldest_unknown_seconds", "Age of the oldest booking with an unknown outcome")
