"""Invoices, their lines and their totals."""

from dataclasses import dataclass, field

from money import Money


@dataclass
class Line:
    """One line of an invoice."""

    text: str
    price: Money
    count: int = 1

    @property
    def total(self) -> Money:
        """Price of all pieces."""
        return Money(self.price.cents * self.count, self.price.currency)


@dataclass
class Invoice:
    """An amount due from a customer."""

    number: int
    lines: list[Line] = field(default_factory=list)

    def add(self, text: str, price: Money, count: int = 1) -> None:
        """Append a line."""
        self.lines.append(Line(text, price, count))

    @property
    def total(self) -> Money:
        """Sum of the lines."""
        amount = Money(0)
        for line in self.lines:
            amount = amount + line.total
        return amount
