"""The parts of a model: network, conditioners, codec, noise levels, guidance, and the folders of its weights."""
