"""What metrics of wide images share: 8-bit pixels, window-sized crops and their features, window borders."""
