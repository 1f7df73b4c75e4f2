from shapes import circle, square

for size in (1, 2, 3):
    print(size, circle(size), square(size))
