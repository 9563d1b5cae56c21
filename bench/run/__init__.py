"""A sweep: its plan, its jobs, who makes them, what they are scored with, how far it has come."""
