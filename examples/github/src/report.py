"""A plain-text report of invoices."""

from collections.abc import Iterable

from invoice import Invoice


def report(invoices: Iterable[Invoice]) -> str:
    """One line for each invoice, largest first."""
    ordered = sorted(invoices, key=lambda invoice: invoice.total.cents, reverse=True)
    rows = [f"{invoice.number:>8}  {invoice.total}" for invoice in ordered]
    return "\n".join(rows)
