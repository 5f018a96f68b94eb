"""Nouns, in the order of knowledge: names, targets, files, requests, plan, manifest. No file, no clock, no host."""
