"""The room of the packager. It takes a Run and gives a Package, published and verifiable."""
