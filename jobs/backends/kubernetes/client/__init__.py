"""Client of the cluster's API: submits, follows, cancels, resumes, lists and fetches jobs."""
