"""OPC UA and files into `raw.*`; limits into alerts. Knows nothing downstream of that."""
