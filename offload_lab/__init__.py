"""The harness of Offload Lab: starts, drives, measures and draws the stages, and knows nothing about any one lesson."""
