"""What metrics of views share: 8-bit images, decoded channels, cameras and flow as exact ways between pixels."""
