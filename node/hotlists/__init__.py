"""Hot lists on their way in: what a file's columns mean, and its entries, all or none."""
