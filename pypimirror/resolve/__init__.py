"""Roots and targets into resolutions and a plan, given an Index. Pure."""
