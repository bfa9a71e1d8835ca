"""What the guard costs: ratios and differences of paired, interleaved runs."""
