"""The same work for this project's offload and for its peers; see README.md beside this file."""
