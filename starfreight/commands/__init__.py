"""The commands that span the rooms. Only here does the hall know them."""
