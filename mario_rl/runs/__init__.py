"""A run directory: `directory` says where everything is, `checkpoint` and `tables` write and read what is in it."""
