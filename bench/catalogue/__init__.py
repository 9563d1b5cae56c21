"""Which components exist, and how a name becomes an instance: listing, registry, typed fields, identity of items."""
