"""What exercises and the notebook need for 05_uwsgi_api, and nothing else does."""
