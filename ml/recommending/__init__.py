"""From scores to what operators see: which, in what words, and why."""
