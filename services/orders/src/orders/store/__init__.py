"""The orders database: tables, the gateway's group commit and its reads. Importing it connects to nothing."""
