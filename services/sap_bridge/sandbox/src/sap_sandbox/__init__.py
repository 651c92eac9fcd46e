"""A stand-in for SAP's sales order service."""
