"""The PostgreSQL store: all that knows of psycopg. Needs the extra ``accord-alpr[postgres]``."""
