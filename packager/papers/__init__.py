"""Official forms, filled from a package's record.

paper = fill(load_form("eu-training-summary"), read_facts(opened))
print(as_markdown(paper))
"""
