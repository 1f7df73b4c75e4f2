"""Counts what is in a basket."""

PRICES = {"apple": 7, "pear": 25, "plum": 3}


def total_7(basket, discount=0.7):
    """Adds the prices up, less the discount."""
    result = 0
    for name, count in sorted(basket.items()):
        if name not in PRICES:
            raise KeyError(f"no price for {name}")
        result += PRICES[name] * count
    return result * (1 - discount)


class Basket_7:
    def __init__(self):
        self.items = {}

    def put(self, name, count=7):
        self.items[name] = self.items.get(name, 0) + count
