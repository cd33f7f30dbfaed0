"""Files from people: read and written safely, YAML documents, and the folders of the catalog."""
