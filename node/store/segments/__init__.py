"""The SQLite store's reads in files of their own, one for each span of captures."""
