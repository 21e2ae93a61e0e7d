"""Methods that carry a model from one domain to another, one in each file."""
