"""What a node stores: reads and hot lists."""
