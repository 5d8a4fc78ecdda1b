"""What can go wrong, each as a test of its own, with the sandbox's books as the only judge."""
