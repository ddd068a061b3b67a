"""The same work for offloading and for its peers; see README.md beside this file."""
