import sys

from words import count_words

if __name__ == "__main__":
    for word, count in sorted(count_words(sys.stdin).items()):
        print(f"{count:6} {word}")
