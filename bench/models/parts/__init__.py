"""What a model is composed of: network, conditioners, codec, levels, guidance, and the folders its weights lie in."""
