"""Results of jobs in a registry or in object storage, for machines without a shared volume.

    address = parse_address("oci://registry.example.org/team/runs:acme-0123456789")
    store = open_store(address.place)
    index = find_result(store, address)
    receive(store, index, Path("runs"), ...)

A result is a run or a package: an index of its files with their digests, and the files. It gets its name only
after all files are there, so a name never leads to half a run. A store is a file with an implementation of
:class:`starfreight.results.interface.ResultsStore`, and a line in :mod:`starfreight.results.table`.
"""
