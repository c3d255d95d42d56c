"""From the fsynced spool into `raw.*`: one transaction for rows, last values, alerts, the ledger and rejects."""
