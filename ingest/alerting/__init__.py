"""Limits into `serving.critical_alerts`, in the transaction that lands the value."""
