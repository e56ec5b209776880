"""`make demo`: one person's headshots, end to end, through the real API, queue and worker."""
