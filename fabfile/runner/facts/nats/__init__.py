"""NATS' own protocol, and what JetStream says of its streams and consumers."""
