"""The engine, in rooms: each imports those below it, none a method, metric or data set."""
