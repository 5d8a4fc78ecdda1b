"""What the models of each provider accept, and how each provider is asked and understood."""
