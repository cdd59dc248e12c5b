"""The only place that builds gRPC credentials, servers and channels."""
