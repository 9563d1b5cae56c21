"""What metrics of views share: 8-bit images, decoded channels, and true cameras and flow between pixels."""
