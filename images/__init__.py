"""The room of the images. It gives an image reference pinned by digest."""
