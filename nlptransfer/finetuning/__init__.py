"""Pretrained encoders fitted to a task: what trains when, at which rate, and what is added for a new domain."""
