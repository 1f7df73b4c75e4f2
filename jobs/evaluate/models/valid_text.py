"""Texts of models, which may hold half of a character."""


def valid_text(text: str) -> str:
    """The text with unpaired surrogates replaced, so that it can be written as UTF-8."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
