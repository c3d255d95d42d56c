"""The whole system on one machine: environment, Procfile supervisor, preparation, live status, smoke run."""
