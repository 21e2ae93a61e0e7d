"""How far two domains lie apart, and what can be told about a transfer before the target has labels."""
