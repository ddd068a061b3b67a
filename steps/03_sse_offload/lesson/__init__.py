"""What exercises and the notebook need for 03_sse_offload, and nothing else does."""
