"""Steps that bring a database to the tables of `services.experiments.tables`, as Alembic runs them."""
