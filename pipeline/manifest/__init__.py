"""What became of each image, as a file for people and programs."""
