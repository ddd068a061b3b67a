"""What exercises and the notebook need for 06_shared_state, and nothing else does."""
