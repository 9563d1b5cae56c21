"""From records to numbers: means, intervals, paired differences, ranks, and what a number of items can show."""
