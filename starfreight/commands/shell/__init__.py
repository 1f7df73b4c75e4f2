"""Shell completion: the values that a shell offers, and the script that asks for them."""
