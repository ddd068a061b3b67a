"""What exercises and the notebook need for 07_pitfalls, and nothing else does."""
