"""From records to numbers: means, intervals, paired differences, ranks, and the power of a number of items."""
