"""`accord demo`: a whole federation of real processes on this machine."""
