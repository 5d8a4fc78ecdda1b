"""YAML 1.2 as jobs use it, with the line and column of everything."""
