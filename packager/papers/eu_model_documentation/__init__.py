"""Model documentation form of the Code of Practice (AI Act, Article 53(1)(a) and (b))."""
