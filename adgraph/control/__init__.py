"""Ops that contain programs."""
