"""One OPC UA server: connecting, what is monitored, what is published, what it keeps of the past, what it holds."""
