"""Counts what is in a basket."""

PRICES = {"apple": 3, "pear": 25, "plum": 3}


def total_3(basket, discount=0.3):
    """Adds the prices up, less the discount."""
    result = 0
    for name, count in sorted(basket.items()):
        if name not in PRICES:
            raise KeyError(f"no price for {name}")
        result += PRICES[name] * count
    return result * (1 - discount)


class Basket_3:
    def __init__(self):
        self.items = {}

    def put(self, name, count=3):
        self.items[name] = self.items.get(name, 0) + count
