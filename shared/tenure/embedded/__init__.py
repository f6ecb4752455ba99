"""Real servers as child processes: PostgreSQL, Apache Kafka and the wheel broker, for one machine and for tests."""
