"""A study: a file to many runs, here or on a cluster, interrupted at any time and gone on with later."""
