"""The durable buffer between the door and the store: one contract, a Valkey implementation and a memory twin."""
