"""What a sweep crosses: suites as TOML files, narrowed from the command line."""
