"""Differences between two packages: data, recipe, base, training, figures, texts, files, tools and signers.

with open_package("acme/coder:1.0", console) as before, open_package("acme/coder:1.1", console) as after:
    for section in compare_packages(before, after).sections:
        print(section.name, *section.lines, sep="\n  ")
"""
