"""The lab's edge: an nginx with Nginx Proxy Manager's directory layout, database and generated files."""
