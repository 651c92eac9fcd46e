"""What authors of departments need for their tests: a private broker, a database, builders."""
