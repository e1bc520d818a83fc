"""NATS' own protocol, and JetStream's streams and consumers."""
