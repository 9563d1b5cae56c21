"""The parts that methods are written with: the denoising loop, and attention that samples share."""
