"""The fault plan: rules in the running sandbox that make calls fail as SAP, proxies and networks make them fail."""
