"""Servers and drivers that several test folders share."""
