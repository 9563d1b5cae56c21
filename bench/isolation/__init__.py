"""What keeps a component of anybody's from ending or changing a sweep: guards, marks, signals, threads."""
