"""Readers of annotation files, one file a format: pictures with their captions."""
