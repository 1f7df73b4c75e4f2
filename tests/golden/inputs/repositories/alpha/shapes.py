"""Areas of plane figures."""

import math


def circle(radius):
    """The area of a circle."""
    return math.pi * radius**2


def square(side):
    """The area of a square."""
    return side * side
