"""What is measured, one file each: `run(bench)` gives the tables of its section."""
