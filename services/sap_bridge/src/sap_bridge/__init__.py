"""Books every order in SAP, once: a sales order through API_SALES_ORDER_SRV (OData V2)."""
