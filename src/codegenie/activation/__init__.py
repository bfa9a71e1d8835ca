"""Activate the guard at every start of an interpreter, and find out what is really active."""
