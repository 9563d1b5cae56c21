"""The networks and filters metrics look through: published weights where they are here, bundled ones elsewhere."""
