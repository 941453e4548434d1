"""Compare: a study file to many training runs, on one machine or a cluster, to one report."""
