"""What exercises and the notebook need for 01_file_wrapper, and nothing else does."""
