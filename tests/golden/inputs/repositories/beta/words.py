def count_words(lines):
    """How often each word stands in the lines."""
    counts = {}
    for line in lines:
        for word in line.lower().split():
            counts[word] = counts.get(word, 0) + 1
    return counts
