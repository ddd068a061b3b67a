"""What exercises and the notebook need for 02_xsendfile, and nothing else does."""
