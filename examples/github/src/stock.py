"""Stock of a shop."""

from dataclasses import dataclass, field


@dataclass
class Stock:
    """How many pieces of each article there are."""

    pieces: dict[str, int] = field(default_factory=dict)

    def add(self, article: str, count: int) -> None:
        """Adds pieces of an article."""
        if count < 0:
            raise ValueError("count is negative")
        self.pieces[article] = self.pieces.get(article, 0) + count

    def take(self, article: str, count: int) -> None:
        """Takes pieces of an article, or raises KeyError if there are too few."""
        if self.pieces.get(article, 0) < count:
            raise KeyError(article)
        self.pieces[article] -= count

    def total(self) -> int:
        """The number of all pieces."""
        return sum(self.pieces.values())
