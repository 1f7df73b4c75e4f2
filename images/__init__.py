"""Container images: builds and pushes them. Its result is an image reference pinned by digest."""
