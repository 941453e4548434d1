"""This machine: `doctor` says what it lacks, the benchmarks how fast it is, `parity` whether its emulators agree."""
