"""What exercises and the notebook need for 04_websocket, and nothing else does."""
