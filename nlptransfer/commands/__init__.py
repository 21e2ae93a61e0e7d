"""What the command line does with a saved model, whatever its kind."""
