"""The packager. It takes a run and gives a package, published and verifiable."""
