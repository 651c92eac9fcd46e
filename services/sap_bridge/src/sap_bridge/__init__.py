"""Books every order in SAP."""
