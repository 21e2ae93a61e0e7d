"""Several tasks learnt together: what they share, which is trained when, and what it gives."""
