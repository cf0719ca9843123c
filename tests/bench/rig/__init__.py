"""What the benchmarks of the data plane are made of: servers, content, load, rounds, rows."""
