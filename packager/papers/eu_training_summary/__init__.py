"""Template for the public summary of training content (AI Act, Article 53(1)(d))."""
