"""The benchmarks behind `scripts/bench`: every promise with a number in it, measured."""
