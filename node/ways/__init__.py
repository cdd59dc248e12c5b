"""Ways that reads come in while the node serves: folder, webhook, MQTT, SQL."""
