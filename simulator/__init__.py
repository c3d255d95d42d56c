"""A plant to try Millwright on: an OPC UA server with failing machines, its past, and the replay of recorded files."""
