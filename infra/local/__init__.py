"""Embedded PostgreSQL and Valkey, and the supervisor that runs every part of Likeness on one machine."""
