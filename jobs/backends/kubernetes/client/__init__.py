"""The cluster itself: asked, told, followed and read from, through its API."""
