"""The webhook receiver: events and uploads come in by HTTP and are durable before they are accepted."""
